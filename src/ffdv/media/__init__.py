"""A file → facts about it, timed frames and samples, in bounded memory."""
