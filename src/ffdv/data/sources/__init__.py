"""One file per kind of corpus folder."""
