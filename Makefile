# The commands of this project. `make run` and `make test` work on a fresh Debian machine with Rust.

.PHONY: run build test interop bench load audit require-build require-speech require-test

# Where rustup puts its programs, for shells that were opened before it was installed. In front, since Debian's own
# Rust, where it is there too, is too old.
export PATH := $(HOME)/.cargo/bin:$(PATH)

# Arguments for the demo, the bench or the load, as in: make run ARGS="--listen 192.0.2.1"
ARGS =

# Builds, and starts a demo that can be called at once.
run: build require-speech
	cargo run --quiet --release --locked --package offhook -- demo $(ARGS)

# Everything a release has but link-time optimisation, which would cost a newcomer minutes.
build: require-build
	cargo build --release --locked --package offhook

# Formatting, lints, documentation, the systemd unit, and every test.
test: require-build require-test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --locked
	deploy/check_unit
	cargo build --workspace --bins --locked
	cargo test --workspace --locked --no-fail-fast

# Peers that are fetched for it from elsewhere, so no part of `make test`. What cannot be had is skipped, and says why.
interop: require-build
	cargo build --workspace --bins --locked
	OFFHOOK_INTEROP=1 cargo test --package offhook-tests --test sipvicious --locked -- --nocapture

# What a call costs, beside two floors, in one run on one machine: takes some minutes and a quiet machine.
bench: require-build require-test
	cargo build --release --workspace --bins --locked
	cargo run --quiet --release --locked --package offhook-tests --bin bench -- $(ARGS)

# SIPp's own caller at 1,000 calls a second, 10,000 in all; ARGS="CALLS CALLS_PER_SECOND" for others.
load: require-build require-test
	cargo build --release --workspace --bins --locked
	cargo run --quiet --release --locked --package offhook-tests --bin sipp_load -- $(ARGS)

# Dependencies: bans, licences, sources. Needs the network and cargo-deny.
audit:
	@cargo deny --version >/dev/null 2>&1 || { echo "There is no cargo-deny; install it with: cargo install --locked cargo-deny"; exit 1; }
	cargo deny check bans licenses sources

require-build:
	@deploy/require_rust
	@deploy/require_packages "needed to build (libopus is compiled from source)" required \
		gcc:cc libc6-dev cmake:cmake

require-speech:
	@deploy/require_packages "the embedded recogniser and voice; without them the agents echo and play still answer" \
		optional libflite1 libpocketsphinx3 pocketsphinx-en-us

require-test:
	@deploy/require_packages "needed by the tests" required \
		sip-tester:sipp baresip-core:baresip sox:sox libflite1 libpocketsphinx3 pocketsphinx-en-us
