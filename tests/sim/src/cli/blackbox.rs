//! Reads and runs the black box of a client.

use std::path::Path;

use moorline_core::blackbox::{Recording, Step};

/// Prints what a client was told and did; tells whether it did the same again.
pub(crate) fn replay(path: &Path) -> bool {
    let file = match std::fs::read(path) {
        Ok(file) => file,
        Err(error) => return fail(path, &error.to_string()),
    };
    let recording = match Recording::read(&file) {
        Ok(recording) => recording,
        Err(error) => return fail(path, &error.to_string()),
    };
    if recording.lost() > 0 {
        let mut began = None;
        for (at, call) in recording.calls() {
            let began = *began.get_or_insert(at.mono);
            println!("{:>12.3} s  {call:?}", at.mono.since(began).as_secs_f64());
        }
        println!(
            "{} calls; {} before them are gone, so that it cannot be run",
            recording.calls().len(),
            recording.lost()
        );
        return true;
    }
    let mut began = None;
    let hash = match recording.run(|step| print(step, *began.get_or_insert(step.at.mono))) {
        Ok(hash) => hash,
        Err(error) => return fail(path, &error.to_string()),
    };
    println!("{} calls; trace {hash:016x}, recorded {:016x}", recording.calls().len(), recording.hash());
    let is_same = hash == recording.hash();
    if !is_same {
        println!("this build does something else: was it recorded by another version?");
    }
    is_same
}

fn print(step: &Step<'_>, began: moorline_core::Timestamp) {
    println!("{:>12.3} s  {:?}", step.at.mono.since(began).as_secs_f64(), step.call);
    for output in &step.outputs {
        println!("{:>16}→ {output:?}", "");
    }
}

fn fail(path: &Path, why: &str) -> bool {
    eprintln!("{}: {why}", path.display());
    false
}
