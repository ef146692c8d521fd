//! The simulator: whole agents in one thread, a network made of a seed, and laws.
