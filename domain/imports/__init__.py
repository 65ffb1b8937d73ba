"""Imports: from a spreadsheet to contacts.

Owns the way in separate pieces, each of which stands by itself: what a file is (`detection`), its rows (`reading`), what type a
column has (`inference`), which field it goes to (`mapping`), which row of a key is its last (`repeats`), and the run that puts
them together (`running`). All but the last are pure, apart from reading the file. Memory stays the same for a file of any
length. Held by `tests/domain/imports/`.
"""
