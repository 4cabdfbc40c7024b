//! Child processes, with shell scripts in the part of the examples.

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use rustix::process::test_kill_process;

use super::super::example::{Example, path};

fn shell(script: &str) -> Example {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Example::spawn(command)
}

/// Runs without a child of its own until it is told to stop.
const SERVE: &str =
    "echo warming up >&2; echo hello; echo listening on http://127.0.0.1:4711; while :; do :; done";

/// Makes the shell look like a built example: `sh -c SCRIPT`, which sees what is appended as `$0`, `$1`, ….
fn shell_as_example() -> &'static str {
    let link = path("sh");
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    match std::os::unix::fs::symlink("/bin/sh", link) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => panic!("{error}"),
        _ => "sh",
    }
}

fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    *panic.downcast::<String>().unwrap()
}

#[test]
fn a_ready_example_has_an_address_and_a_log() {
    let mut example = shell(SERVE);
    example.wait_until_ready();
    assert_eq!(example.addr(), "127.0.0.1:4711".parse().unwrap());
    example.wait_for_log("warming up\n");
}

#[test]
fn terminating_gives_the_exit_code() {
    let mut example = shell(&format!("trap 'echo bye >&2; exit 3' TERM; {SERVE}"));
    example.wait_until_ready();
    assert_eq!(example.terminate(), Some(3));
    assert_eq!(example.log(), "warming up\nbye\n");
}

#[test]
fn an_example_that_a_signal_ends_has_no_exit_code() {
    let mut example = shell(SERVE);
    example.wait_until_ready();
    assert_eq!(example.terminate(), None);
}

#[test]
fn killed_and_dropped_examples_are_gone() {
    let mut killed = shell(&format!("trap '' TERM; {SERVE}"));
    killed.wait_until_ready();
    let pid = killed.pid();
    killed.kill();
    assert!(test_kill_process(pid).is_err());
    let dropped = shell(SERVE);
    let pid = dropped.pid();
    drop(dropped);
    assert!(test_kill_process(pid).is_err());
}

#[test]
fn an_example_that_ends_early_is_a_failure() {
    let mut example = shell("echo no luck >&2; exit 7");
    let panic = catch_unwind(AssertUnwindSafe(|| example.wait_until_ready())).unwrap_err();
    assert!(message(panic).starts_with("the example ended before it was ready"));
}

#[test]
fn a_missing_example_is_a_failure_that_says_how_to_build_it() {
    let panic = catch_unwind(|| Example::run("no-such-example", &[])).unwrap_err();
    let message = message(panic);
    assert!(message.contains("no-such-example is missing"), "{message}");
    assert!(
        message.contains("cargo build --all-features --examples"),
        "{message}"
    );
}

#[test]
fn an_example_is_started_with_its_flags_and_environment_on_a_free_port() {
    let script = format!("echo $0 $1 $2 $3 $FLAVOUR >&2; {SERVE}");
    let example = Example::start_with(
        shell_as_example(),
        &["-c", &script, "--flag"],
        &[("FLAVOUR", "sour")],
    );
    example.wait_for_log("--flag --listen 127.0.0.1:0 sour\n");
    let plain = Example::start(shell_as_example(), &["-c", SERVE]);
    plain.wait_for_log("warming up\n");
}

#[test]
fn an_example_that_ends_by_itself_gives_its_output_and_exit_code() {
    let output = Example::run(
        shell_as_example(),
        &["-c", "echo out; echo wrong flag >&2; exit 2"],
    );
    assert_eq!(output.code, Some(2));
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("out\n", "wrong flag\n")
    );
}
