//! Medians over rounds, tables of them, and figures against their goals.

/// Returns the median; of an even number the lower of the two in the middle; 0 of none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

/// Returns the value below which the share `quantile` of the sorted values lies; 0 of none.
pub(crate) fn quantile(sorted: &[u32], quantile: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    f64::from(sorted.get((last as f64 * quantile).round() as usize).copied().unwrap_or(0))
}

/// A column: its title and how many decimals it shows.
pub(crate) type Column = (&'static str, usize);

/// Who was measured, with the median of each column over all rounds; this project's row, if there is one, is first.
pub(crate) struct Table<'a> {
    columns: &'a [Column],
    rows: Vec<(&'a str, Vec<f64>)>,
}

impl<'a> Table<'a> {
    /// Takes the rounds of each row: one list of cells per round.
    pub(crate) fn new(columns: &'a [Column], rows: impl IntoIterator<Item = (&'a str, Vec<Vec<f64>>)>) -> Self {
        let over_rounds =
            |rounds: &[Vec<f64>], column| median(rounds.iter().filter_map(|round| round.get(column).copied()));
        let medians =
            |rounds: Vec<Vec<f64>>| (0..columns.len()).map(|column| over_rounds(&rounds, column)).collect::<Vec<_>>();
        Self { columns, rows: rows.into_iter().map(|(name, rounds)| (name, medians(rounds))).collect() }
    }

    /// Prints it as Markdown.
    pub(crate) fn print(&self, title: &str) {
        let titles: Vec<&str> = self.columns.iter().map(|(title, _)| *title).collect();
        println!("\n{title}\n\n| | {} |\n|--|{}", titles.join(" | "), "--:|".repeat(titles.len()));
        for (name, medians) in &self.rows {
            let cells = medians.iter().zip(self.columns).map(|(value, (_, decimals))| format!("{value:.decimals$}"));
            println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
        }
    }

    /// Returns a cell; 0 where there is none.
    pub(crate) fn cell(&self, row: usize, column: &str) -> f64 {
        let at = self.columns.iter().position(|(title, _)| *title == column);
        let row = self.rows.get(row);
        at.zip(row).and_then(|(at, (_, medians))| medians.get(at).copied()).unwrap_or(0.0)
    }

    /// Compares the first row with the second in one column.
    pub(crate) fn line(&self, what: impl Into<String>, column: &str, goal: Goal) -> Line {
        let decimals = self.columns.iter().find(|(title, _)| *title == column).map_or(0, |(_, decimals)| *decimals);
        let peer = (self.rows.len() > 1).then(|| self.cell(1, column));
        Line { what: what.into(), decimals, ours: self.cell(0, column), peer, goal, caveat: None }
    }
}

/// Prints a table of rounds that is compared with nothing.
pub(crate) fn print(title: &str, columns: &[Column], rows: &[(&str, Vec<Vec<f64>>)]) {
    Table::new(columns, rows.iter().cloned()).print(title);
}

/// What a figure should reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// At most so many times the peer's.
    AtMostTimes(f64),
    /// At least so many times the peer's.
    AtLeastTimes(f64),
    /// At most this, whatever the peer's.
    AtMost(f64),
    /// It is only told.
    None,
}

/// One figure, the peer's beside it, and what it should reach.
pub(crate) struct Line {
    what: String,
    decimals: usize,
    ours: f64,
    peer: Option<f64>,
    goal: Goal,
    caveat: Option<String>,
}

impl Line {
    /// Says why this figure decides nothing.
    #[must_use]
    pub(crate) fn but(mut self, caveat: Option<String>) -> Self {
        self.caveat = caveat;
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.peer.filter(|peer| *peer > 0.0).map(|peer| self.ours / peer)
    }

    /// Tells whether the goal is met, where there is one.
    fn is_met(&self) -> Option<bool> {
        match self.goal {
            Goal::AtMostTimes(most) => self.ratio().map(|ratio| ratio <= most),
            Goal::AtLeastTimes(least) => self.ratio().map(|ratio| ratio >= least),
            Goal::AtMost(most) => Some(self.ours <= most),
            Goal::None => None,
        }
    }

    fn row(&self) -> String {
        let Self { what, decimals, ours, .. } = self;
        let peer = self.peer.map_or_else(|| "–".to_owned(), |peer| format!("{peer:.decimals$}"));
        let ratio = self.ratio().map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2} ×"));
        let goal = match self.goal {
            Goal::AtMostTimes(most) => format!("≤ {most:.2} ×"),
            Goal::AtLeastTimes(least) => format!("≥ {least} ×"),
            Goal::AtMost(most) => format!("≤ {most}"),
            Goal::None => "–".to_owned(),
        };
        let met = match (&self.caveat, self.is_met()) {
            (Some(caveat), _) => caveat.as_str(),
            (None, Some(true)) => "met",
            (None, Some(false)) => "**missed**",
            (None, None) => "–",
        };
        format!("| {what} | {ours:.decimals$} | {peer} | {ratio} | {goal} | {met} |")
    }
}

/// Prints figures against their goals as a Markdown table.
pub(crate) fn compare(peer: &str, lines: &[Line]) {
    println!("\n| What | Moorline | {peer} | Ratio | Goal | |\n|--|--:|--:|--:|--:|--|");
    lines.iter().for_each(|line| println!("{}", line.row()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quantiles() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median([4.0, 1.0]) - 1.0).abs() < f64::EPSILON);
        let sorted: Vec<u32> = (0..=100).collect();
        assert!((quantile(&sorted, 0.99) - 99.0).abs() < f64::EPSILON);
        assert!(quantile(&[], 0.5).abs() < f64::EPSILON);
    }

    #[test]
    fn a_goal_is_met_or_missed() {
        let columns = [("µs", 1), ("per second", 0)];
        let rounds = |us, rate| vec![vec![us, rate]];
        let table = Table::new(&columns, [("Moorline", rounds(5.0, 900.0)), ("peer", rounds(10.0, 300.0))]);
        let row = |column, goal| table.line("x", column, goal).row();
        assert_eq!(row("µs", Goal::AtMostTimes(0.6)), "| x | 5.0 | 10.0 | 0.50 × | ≤ 0.60 × | met |");
        assert_eq!(row("per second", Goal::AtLeastTimes(4.0)), "| x | 900 | 300 | 3.00 × | ≥ 4 × | **missed** |");
        assert_eq!(row("µs", Goal::AtMost(4.0)), "| x | 5.0 | 10.0 | 0.50 × | ≤ 4 | **missed** |");
        let invalid = table.line("x", "µs", Goal::AtMostTimes(0.6)).but(Some("invalid".to_owned()));
        assert_eq!(invalid.row(), "| x | 5.0 | 10.0 | 0.50 × | ≤ 0.60 × | invalid |");
    }
}
