//! Vehicles that drive, charge and park, by seed and elapsed time.
