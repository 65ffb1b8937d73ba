"""Rules: what an audience is, as a tree of conditions over a contact, and everything that can be read from one.

Pure: no input, no output, no clock. Imports nothing but `domain.fields`, `domain.errors` and the type of identifiers.

Invariant: a rule's two readings, `to_query` and `to_predicate`, agree on every contact. Held by
`tests/domain/rules/test_two_readings.py`.
"""
