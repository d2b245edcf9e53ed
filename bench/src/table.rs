//! Medians over rounds, and tables of them.

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

/// Prints a Markdown table: one row per peer with the median of its rounds, and for two peers the ratio of the first
/// to the second.
pub(crate) fn print(title: &str, columns: &[Column], rows: &[(&str, Vec<Vec<f64>>)]) {
    println!("\n{title}\n");
    let titles: Vec<&str> = columns.iter().map(|(title, _)| *title).collect();
    println!("| | {} |", titles.join(" | "));
    println!("|--|{}", "--:|".repeat(columns.len()));
    let medians: Vec<Vec<f64>> = rows.iter().map(|(_, rounds)| medians(rounds, columns.len())).collect();
    for ((name, _), medians) in rows.iter().zip(&medians) {
        let cells = medians.iter().zip(columns).map(|(value, (_, decimals))| format!("{value:.decimals$}"));
        println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    if let [first, second] = medians.as_slice() {
        let ratios = first.iter().zip(second).map(|(first, second)| ratio(*first, *second));
        println!("| ratio | {} |", ratios.collect::<Vec<_>>().join(" | "));
    }
}

fn medians(rounds: &[Vec<f64>], columns: usize) -> Vec<f64> {
    (0..columns).map(|column| median(rounds.iter().filter_map(|round| round.get(column).copied()))).collect()
}

fn ratio(first: f64, second: f64) -> String {
    if second == 0.0 { "–".to_owned() } else { format!("{:.2}", first / second) }
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
}
