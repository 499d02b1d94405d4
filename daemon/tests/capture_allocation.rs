//! What a media thread does for a capture: a copy into a ring that was made before, also when nobody empties it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Instant;

use offhook::captures::{Captures, Way};
use offhook_session::agent_session::CallId;

struct Counting;

thread_local! {
    /// Of this thread alone: the captures' thread may allocate.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is ending has no counter any more.
        let _ = ALLOCATIONS.try_with(|cell| cell.set(cell.get() + 1));
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_datagram_that_is_noted_allocates_nothing_whether_there_is_room_or_not() {
    let captures = Captures::new(None);
    let call = CallId::new("0123456789abcdef");
    let began = captures
        .begin(&call, Instant::now(), false)
        .expect("a thread");
    let address = SocketAddr::from(([127, 0, 0, 1], 40_000));
    let mut tap = captures.tap(&call, began, address, address).expect("room");
    let datagram = [0x80; 1_200];
    let way = Way {
        sent: true,
        rtcp_socket: false,
    };
    let before = ALLOCATIONS.with(Cell::get);
    // Far more than the ring holds, faster than it is emptied.
    for length in 0..20_000 {
        tap.note(
            way,
            &datagram[..length % datagram.len()],
            address,
            Instant::now(),
        );
    }
    assert_eq!(ALLOCATIONS.with(Cell::get), before);
    assert!(before > 0, "what allocates is counted");
    drop(tap);
    captures.finish();
}
