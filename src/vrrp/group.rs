//! Instances that must move together.
