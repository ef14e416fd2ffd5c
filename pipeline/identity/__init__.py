"""Identity: which user an event is about, and which ids and emails it links to that user. No I/O."""
