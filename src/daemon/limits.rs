//! How many files this process may have open.
//!
//! A thousand routers claim a thousand sockets, and a thousand checks have a connection each; the usual
//! limit is 1,024 while the administrator's (the hard one) is far above.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::warn;

/// Enough for a thousand routers of both families, and their checks. No more: hooks inherit it, and some
/// programs close every number up to it.
const ENOUGH: u64 = 16_384;

/// Makes it enough, as far as the administrator lets it.
pub(super) fn raise() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = ENOUGH.min(hard);
        if wanted > soft { setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) } else { Ok(()) }
    });
    if let Err(error) = raised {
        warn!("the limit of open files stays as it is: {error}");
    }
}
