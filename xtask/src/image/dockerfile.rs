//! What the last stage of a Dockerfile makes of a container.

/// The settings of an image.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Image {
    /// `NAME=value`.
    pub(super) variables: Vec<String>,
    /// `user:group`, as numbers.
    pub(super) user: String,
    pub(super) entrypoint: Vec<String>,
    pub(super) health: Vec<String>,
    /// Ports.
    pub(super) exposed: Vec<u64>,
}

impl Image {
    /// Reads the instructions behind the last `FROM`. Commands are in the form of a JSON list.
    pub(super) fn of(text: &str) -> Self {
        let joined = text.replace("\\\n", " ");
        let lines: Vec<&str> = joined.lines().filter(|line| !line.starts_with('#')).collect();
        let last = lines.iter().rposition(|line| line.starts_with("FROM ")).unwrap_or_default();
        let mut image = Self::default();
        for line in lines.into_iter().skip(last) {
            let (instruction, rest) = line.split_once(' ').unwrap_or((line, ""));
            match instruction {
                "ENV" => image.variables.extend(rest.split_whitespace().map(str::to_owned)),
                "USER" => rest.trim().clone_into(&mut image.user),
                "ENTRYPOINT" => image.entrypoint = list(rest),
                "HEALTHCHECK" => image.health = list(rest),
                "EXPOSE" => image.exposed = rest.split_whitespace().filter_map(|port| port.parse().ok()).collect(),
                _ => {}
            }
        }
        image
    }
}

/// Reads the list at the end of a line.
fn list(text: &str) -> Vec<String> {
    let list = text.find('[').and_then(|begin| text.get(begin..));
    list.and_then(|list| serde_json::from_str(list.trim()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stage_counts() {
        let text = "FROM a AS build\nUSER root\n# USER me\nFROM scratch\nENV A=1 \\\n    B=2\nUSER 7:8\nEXPOSE 1 2\n\
                    HEALTHCHECK --retries=3 \\\n CMD [\"/x\", \"health\"]\nENTRYPOINT [\"/x\"]\n";
        let wanted = Image {
            variables: vec!["A=1".into(), "B=2".into()],
            user: "7:8".into(),
            entrypoint: vec!["/x".into()],
            health: vec!["/x".into(), "health".into()],
            exposed: vec![1, 2],
        };
        assert_eq!(Image::of(text), wanted);
    }
}
