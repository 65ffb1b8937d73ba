"""Imports: from a spreadsheet to contacts.

Owns the way in separate pieces, each of which stands by itself: what a file is (`detection`), its rows (`reading`), what type a
column has (`inference`), which field it goes to (`mapping`), which row of a key is its last (`repeats`); the first pass over a
file, which finds all that (`surveying`), the second, which makes rows of contacts of it (`batching`), and the run that puts them
together and alone writes (`running`). Memory stays the same for a file of any length. Held by `tests/domain/imports/`.
"""
