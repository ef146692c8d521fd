//! Whatever reads what others have written, against changed and broken input. `scripts/test --long` does
//! it for a minute each.

mod agentx;
mod answers;
mod harness;
mod packets;
mod state;
mod texts;
mod votes;

/// Counts what is allocated.
#[global_allocator]
static PEAK: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
