"""The detector as a service: what is handed in (service, place), over HTTP (server, hand_in, callers), and its page (page, web/)."""
