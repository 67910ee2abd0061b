"""The only room that parses arguments, prints or serves."""
