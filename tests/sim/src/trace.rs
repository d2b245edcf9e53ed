use xxhash_rust::xxh3::Xxh3;

/// The trace of a run: a hash of everything that crossed a border, and its last lines for people.
#[derive(Default)]
pub(crate) struct Trace {
    hash: Xxh3,
    verbose: bool,
    lines: Vec<String>,
}

impl Trace {
    /// Creates a trace that also keeps its lines if `verbose`.
    pub(crate) fn new(verbose: bool) -> Self {
        Self { verbose, ..Self::default() }
    }

    /// Adds what happened. `detail` is called only when lines are kept.
    pub(crate) fn add(
        &mut self,
        at_us: u64,
        kind: &'static str,
        who: u64,
        bytes: &[u8],
        detail: impl FnOnce() -> String,
    ) {
        self.hash.update(&at_us.to_le_bytes());
        self.hash.update(kind.as_bytes());
        self.hash.update(&who.to_le_bytes());
        self.hash.update(bytes);
        if self.verbose {
            self.lines.push(format!("{:>10.3} {kind:<10} {who:>3} {}", at_us as f64 / 1000.0, detail()));
        }
    }

    /// Adds more bytes of what happened last.
    pub(crate) fn add_bytes(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
    }

    /// Whether lines are kept.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Returns the hash so far.
    pub(crate) fn hash(&self) -> u64 {
        self.hash.digest()
    }

    /// Returns the lines kept.
    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines
    }
}
