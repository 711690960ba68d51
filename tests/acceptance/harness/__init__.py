"""What the acceptance tests share: the server under test, a browser, and clients that tests can question."""
