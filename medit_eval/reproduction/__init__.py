"""The reproduction ledger: what papers publish, what is run to see it again, and what came out."""
