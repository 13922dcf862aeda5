"""Are the rules' tests any good? Change the rules in small ways, one at a time, and see whether a test notices.

    python -m tests.mutation [--rule NAME] [--sample N] [--minutes M]

A mutant that no test notices is a hole in the tests, or changes nothing that matters; `equivalent.yml` says why.

    lexing     PromQL as tokens with places
    mutants    every small change of a rule
    suite      rules and promtool tests as data, and which test concerns which rule
    running    mutants against tests, with results kept from run to run
"""
