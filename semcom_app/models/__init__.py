"""Neural models behind the codecs, and where their weights come from."""
