"""Imports: from a spreadsheet to contacts.

Owns the way in separate pieces, each of which stands by itself: what a file is (`sources`, `workbooks`, `detection`), its rows
(`reading`), what type a column has (`inference`, `dates`), which field it goes to (`mapping`) or seems to be meant for
(`suggesting`), which row of a key is its last (`repeats`); the first pass over a file, which finds all that (`surveying`), the
second, which makes rows of contacts of it (`batching`), and the run that puts them together (`running`). What is to be done
for a row is planned (`planning`) before it is written (`writing`) into contacts and journal (`steps`), only counted (`trying`),
or taken back (`undoing`). What is asked for over the API (`wanted`) is kept
(`stored`) and carried out by `imports`. Memory stays the same for a file of
any length. Held by `tests/domain/imports/`.
"""
