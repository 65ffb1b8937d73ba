"""The only place that touches PyMongo: collections, indexes, scoping by account, the change stream, the embedded database."""
