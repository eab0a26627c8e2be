//! Tables with aligned columns, and the numbers that go into them.

use std::fmt;

/// Rows under a heading; a heading that starts with `>` is aligned to the right, with `<` to the left.
pub(crate) struct Table {
    headings: Vec<(char, String)>,
    rows: Vec<Option<Vec<String>>>,
}

impl Table {
    pub(crate) fn new(headings: &[&str]) -> Self {
        let split = |heading: &&str| match heading.strip_prefix('>') {
            Some(rest) => ('>', rest.to_owned()),
            None => ('<', heading.strip_prefix('<').unwrap_or(heading).to_owned()),
        };
        Self { headings: headings.iter().map(split).collect(), rows: Vec::new() }
    }

    /// Adds a row; cells beyond the last heading are dropped, missing ones stay blank.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(Some(cells.into_iter().take(self.headings.len()).collect()));
    }

    /// Adds a line across the table.
    pub(crate) fn rule(&mut self) {
        self.rows.push(None);
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.headings.iter().map(|(_, name)| name.chars().count()).collect();
        for row in self.rows.iter().flatten() {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let line = |cells: &[String]| {
            let padded = widths.iter().enumerate().map(|(column, &width)| {
                let cell = cells.get(column).map_or("", String::as_str);
                if self.headings[column].0 == '>' {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            });
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let across = "-".repeat(widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1));
        let names: Vec<String> = self.headings.iter().map(|(_, name)| name.clone()).collect();
        writeln!(f, "{}\n{across}", line(&names))?;
        for row in &self.rows {
            match row {
                Some(cells) => writeln!(f, "{}", line(cells))?,
                None => writeln!(f, "{across}")?,
            }
        }
        Ok(())
    }
}

/// A count with its thousands apart: `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes as megabytes of 10^6, two decimals.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / 1e6)
}

/// `a / b`, or a dash when there is nothing to divide by.
pub(crate) fn quotient(a: f64, b: f64) -> String {
    if b > 0.0 { format!("{:.1}", a / b) } else { "-".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["<version", ">MB"]);
        table.row(["5.0.4".to_owned(), "31.00".to_owned()]);
        table.row(["a long name".to_owned(), "1.5".to_owned()]);
        table.rule();
        table.row(["2".to_owned()]);
        let expected = "\
version         MB
------------------
5.0.4        31.00
a long name    1.5
------------------
2
";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn width_counts_characters_and_not_bytes() {
        let mut table = Table::new(&["<µ", ">n"]);
        table.row(["é".to_owned(), "1".to_owned()]);
        assert_eq!(table.to_string(), "µ  n\n----\né  1\n");
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            ["0", "999", "1,000", "1,234,567"],
            [0, 999, 1000, 1_234_567].map(count).each_ref().map(String::as_str)
        );
        assert_eq!(megabytes(6_604_999), "6.60");
        assert_eq!(quotient(251.0, 6.0), "41.8");
        assert_eq!(quotient(1.0, 0.0), "-");
    }
}
