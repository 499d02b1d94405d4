//! The `offhook` program.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Calls come and go by the hundred thousand, and each leaves a few hundred small allocations of several threads behind.
/// The C library's allocator spends a sixth of a call's time on them and keeps what it had at its peak. This one is
/// quicker, gives pages back, and knows how much is in use (docs/performance.md).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    offhook::command::main()
}
