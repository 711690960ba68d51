//! A client of the CarData services: login and REST.
