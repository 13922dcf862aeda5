"""The whole product on one machine, with made-up traffic."""
