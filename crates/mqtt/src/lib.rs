//! The MQTT session as a state machine without I/O.
