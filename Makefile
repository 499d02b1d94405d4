# The commands of this project. `make run` and `make test` work on a fresh Debian machine with Rust.

.PHONY: run build dist test interop voicemail fuzz bench load audit require-build require-speech require-test require-kamailio

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

# What is installed on a telephony host, with link-time optimisation: target/dist/offhook.
dist: require-build
	cargo build --profile dist --locked --package offhook

# Formatting, lints, documentation, the systemd unit, and every test.
test: require-build require-test require-kamailio
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

# Who answered, on all synthetic callees and not only every third: prints the matrices of docs/voicemail.md.
voicemail: require-build require-test
	cargo build --workspace --bins --locked
	OFFHOOK_VOICEMAIL=all cargo test --package offhook-tests --test voicemail --locked -- --nocapture

# Hostile bytes for each parser, a minute each (FUZZ_SECONDS), by libFuzzer; installs cargo-fuzz into target/tools.
fuzz: require-build
	deploy/fuzz

# What a call costs, beside two floors, in one run on one machine: takes some minutes and a quiet machine.
bench: require-build require-test
	cargo build --profile dist --workspace --bins --examples --locked
	cargo run --quiet --profile dist --locked --package offhook-tests --bin bench -- $(ARGS)

# SIPp's own caller at 1,000 calls a second, 10,000 in all; ARGS="CALLS CALLS_PER_SECOND" for others.
load: require-build require-test
	cargo build --profile dist --workspace --bins --locked
	cargo run --quiet --profile dist --locked --package offhook-tests --bin sipp_load -- $(ARGS)

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
		sip-tester:sipp baresip-core:baresip sox:sox libflite1 libpocketsphinx3 pocketsphinx-en-us \
		flite:flite espeak-ng:espeak-ng festival:text2wave festvox-kdlpc16k festvox-us-slt-hts ffmpeg:ffmpeg opus-tools:opusdec tshark:tshark

require-kamailio:
	@deploy/require_packages "needed by the proxy between the nodes of tests" required \
		"libssl3|libssl3t64"
	@deploy/unpack_packages "the proxy between the nodes of tests" target/kamailio kamailio kamailio-tls-modules
