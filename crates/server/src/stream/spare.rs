//! Buffers for what connections send, lent for as long as something is in them: there are many connections, most are idle,
//! and each thread serves one at a time.

use std::cell::Cell;

use bytes::BytesMut;

/// A larger one is not kept: it was for a client that read slowly.
const KEPT_MAX: usize = 64 << 10;

thread_local! {
    static SPARE: Cell<BytesMut> = Cell::new(BytesMut::new());
}

/// A buffer that is empty, and has room if one was given back before.
pub(super) fn take() -> BytesMut {
    SPARE.take()
}

/// Keeps an empty buffer for whoever sends next.
pub(super) fn give(buffer: BytesMut) {
    if buffer.capacity() > KEPT_MAX {
        return;
    }
    let other = SPARE.take();
    SPARE.set(if other.capacity() > buffer.capacity() { other } else { buffer });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_that_is_not_too_large_is_kept() {
        for capacity in [4096, 512, KEPT_MAX + 1] {
            give(BytesMut::with_capacity(capacity));
        }
        assert_eq!(take().capacity(), 4096);
        assert_eq!(take().capacity(), 0);
    }
}
