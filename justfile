# `just` lists the recipes. Each runs what `.ci/run` runs.

set shell := ["bash", "-euo", "pipefail", "-c"]

# List the recipes.
default:
    @just --list --unsorted

# Compile everything, with lints as errors.
check:
    cargo fmt --check
    cargo clippy --workspace --all-targets -- -D warnings

# Run every test that needs nothing else installed.
test *arguments:
    cargo test {{ arguments }}

# Format, lints and documentation, as CI does.
lint:
    bash .ci/run lint

# The suites in e2e and the template, against emulators of AWS and the senders' and vendors' libraries.
e2e:
    bash .ci/run e2e

# All that CI runs; `just all --install` also installs Debian packages.
all *arguments:
    bash .ci/run all {{ arguments }}

# Play the whole story on mock services; `just sandbox --serve` keeps them up.
sandbox *arguments:
    cargo run -- sandbox {{ arguments }}

# Run the command line: `just run check --offline`.
run *arguments:
    cargo run -- {{ arguments }}

# Random histories through the real flow, judgement and ledger.
simulation histories="20000":
    OFFBOARD_SIM_HISTORIES={{ histories }} cargo test --profile sim --test simulation

# Write the pages of the kinds and the schema of the configuration anew.
generated:
    RENEW=1 cargo test -p offboard-cli --test generated

# Check that the tests find planted defects.
mutants *names:
    python3 .ci/mutants {{ names }}

# Fuzz the verifiers and readers, led by coverage.
fuzz seconds="60":
    OFFBOARD_FUZZ_SECONDS={{ seconds }} bash .ci/fuzz

# Measure the function beside a bare client, a Python and a Node function: `just bench --tls`, `just bench gates`.
bench *arguments:
    bench/run {{ arguments }}

# Check licenses, bans and sources of dependencies (needs cargo-deny).
deny:
    cargo deny check

# Build the function as it is deployed, for this machine's processor.
release:
    cargo build --release --bin offboard-lambda

# Make what a release consists of, for this machine's processor (needs cargo-about, `sam`, and .ci/release.txt); publishes nothing.
release-dry-run *arguments:
    python3 .ci/release dry-run target/release-dry-run {{ arguments }}

# Build what `sam deploy` uploads.
build *arguments:
    sam build {{ arguments }}

# Build the documentation of the code.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
