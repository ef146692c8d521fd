//! The daemon: the only place that knows deciders and doers both.
