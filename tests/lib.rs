//! Holds the tests in `tests/tests`, which look at the workspace as a whole.
