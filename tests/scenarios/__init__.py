"""Made-up traffic of a migration with known truth: what a Prometheus would have recorded, with incidents to find.

Independent of the exporter on purpose: it shares no code, no price and no bucket with it, so that what rules say about
these series is judged by something else than the program that they belong to. It draws single calls, with numpy: a
week of one call a second is 600,000 rows of a few columns, drawn and folded into counters in about a second. Sums of
sampled steps would be faster still, but money, tokens, latency and failures of the same call belong together, and the
same rows also serve as events for a real exporter. The standard library's `random` takes a minute for what numpy does
in a second; that is why numpy is a dependency of the tests.

    settings   who calls what, how often, at which price: `moderate()`, `large()`
    seeds      tuning and judging never draw the same numbers
    tokens     token distributions, fitted to a public trace
    calls      the rows
    incidents  what goes wrong, how strongly, and what that does to the rows
    drawing    rows of a span of time
    plan       plan facts and budgets, as series
    recording  rows as counters and histograms, scrape by scrape
    truth      what is known without any series
    writing    OpenMetrics with timestamps, pages of one moment, events
"""
