//! Bytes and adverts.
