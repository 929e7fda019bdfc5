"""Facts and values that every room may use: instants, ids, codecs, media plans and the error tree. Pure."""
