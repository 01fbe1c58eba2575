//! A count as an update expression.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use ports::table::{Count, Guard};

/// The expressions of one `UpdateItem`, with what their placeholders stand for.
#[derive(Default)]
pub(super) struct Update {
    pub(super) change: String,
    pub(super) condition: Option<String>,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

impl Update {
    pub(super) fn of(count: &Count) -> Self {
        let mut update = Self::default();
        let guards: Vec<String> = count
            .guards
            .iter()
            .map(|guard| update.guard(guard))
            .collect();
        update.condition = (!guards.is_empty()).then(|| guards.join(" AND "));
        update.change = update.changes(count);
        update
    }

    fn guard(&mut self, guard: &Guard) -> String {
        match guard {
            Guard::AtMost(name, most) => {
                let (name, most) = (self.name(name), self.value(*most));
                format!("(attribute_not_exists({name}) OR {name} <= {most})")
            }
            Guard::Is(name, number) => format!("{} = {}", self.name(name), self.value(*number)),
            Guard::Absent(name) => format!("attribute_not_exists({})", self.name(name)),
        }
    }

    fn changes(&mut self, count: &Count) -> String {
        // A row that a count makes has version 0, and an older row keeps its own.
        let version = self.name("version");
        let mut set = vec![format!(
            "{version} = if_not_exists({version}, {})",
            self.value(0)
        )];
        for (name, number) in &count.set {
            set.push(format!("{} = {}", self.name(name), self.value(*number)));
        }
        if let Some(at) = count.expires_at {
            set.push(format!(
                "{} = {}",
                self.name("expires_at"),
                self.value(at.as_second())
            ));
        }
        let add: Vec<String> = count
            .add
            .iter()
            .map(|(name, by)| format!("{} {}", self.name(name), self.value(*by)))
            .collect();
        let remove: Vec<String> = count.remove.iter().map(|name| self.name(name)).collect();
        [("SET", set), ("ADD", add), ("REMOVE", remove)]
            .into_iter()
            .filter(|(_, parts)| !parts.is_empty())
            .map(|(action, parts)| format!("{action} {}", parts.join(", ")))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// A placeholder for a name: names may be words that the expression language keeps for itself.
    fn name(&mut self, name: &str) -> String {
        let placeholder = format!("#n{}", self.names.len());
        self.names.insert(placeholder.clone(), name.to_owned());
        placeholder
    }

    fn value(&mut self, number: i64) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values
            .insert(placeholder.clone(), AttributeValue::N(number.to_string()));
        placeholder
    }
}
