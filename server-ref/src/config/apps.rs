//! What apps have of their own: limits, origins, rules of channels.

use std::collections::BTreeMap;

use moorline_protocol::AppName;

use super::file::{AppLimitsSection, ChannelRule, File};
use crate::apps::{AppLimits, AppTable};
use crate::engine::core::{RetentionRule, RetentionRules};
use crate::node::CompressionRules;

/// Makes the limits of the apps that have their own. `all` are those of `[limits]`.
pub fn app_limits(file: &File, all: &AppLimits) -> AppTable {
    AppTable::new(apps(file).map(|(name, app)| (name, limits(&app.limits, all))).collect())
}

fn limits(own: &AppLimitsSection, all: &AppLimits) -> AppLimits {
    let or_none = |set: Option<u32>, all: Option<u32>| set.map_or(all, |set| (set > 0).then_some(set));
    AppLimits {
        message: own.message.map_or(all.message, |size| size.0 as u32),
        channels: own.channels.unwrap_or(all.channels),
        connections: own.connections.or(all.connections),
        connections_per_user: own.connections_per_user.unwrap_or(all.connections_per_user),
        cursors_per_user: own.cursors_per_user.unwrap_or(all.cursors_per_user),
        publish_rate: or_none(own.publish_rate, all.publish_rate),
        publish_burst: own.publish_burst.unwrap_or(all.publish_burst),
        api_rate: or_none(own.api_rate, all.api_rate),
        api_burst: own.api_burst.unwrap_or(all.api_burst),
    }
}

/// Makes the origins of the apps that have their own.
pub fn app_origins(file: &File) -> BTreeMap<AppName, Vec<String>> {
    apps(file).filter_map(|(name, app)| Some((name, app.origins.clone()?))).collect()
}

/// Makes the rules of retention.
pub fn retention(file: &File) -> RetentionRules {
    let rules = |rules: &[ChannelRule]| rules.iter().map(retention_rule).collect::<Vec<_>>();
    let all = RetentionRules::new(rules(&file.channels));
    apps(file).fold(all, |all, (name, app)| all.with_app(name, rules(&app.channels)))
}

fn retention_rule(rule: &ChannelRule) -> RetentionRule {
    RetentionRule {
        prefix: rule.prefix.clone(),
        max_age_ms: rule.max_age.map(|age| age.0),
        max_bytes: rule.max_bytes.map(|bytes| bytes.0),
        max_count: rule.max_count,
    }
}

/// Makes the rules of compression.
pub fn compression(file: &File) -> CompressionRules {
    let one = |rule: &ChannelRule| (rule.prefix.clone(), rule.compression.unwrap_or(true));
    let rules = |rules: &[ChannelRule]| rules.iter().map(one).collect::<Vec<_>>();
    let all = CompressionRules::new(rules(&file.channels));
    apps(file).fold(all, |all, (name, app)| all.with_app(name, rules(&app.channels)))
}

/// Names that are none are refused where the keys are made.
fn apps(file: &File) -> impl Iterator<Item = (AppName, &super::file::App)> {
    file.apps.iter().filter_map(|app| Some((AppName::new(&app.name).ok()?, app)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Options;

    #[test]
    fn what_an_app_says_comes_before_what_holds_for_all() {
        let file = "[[channels]]\nprefix = \"chat:vip\"\nmax_count = 1\n[[apps]]\nname = \"shop\"\norigins = []\n\
                    limits = { connections = 5, channels = 3, publish_rate = 0 }\n[[apps.channels]]\nprefix = \"chat:\"\n\
                    max_count = 9\ncompression = false\n[[apps]]\nname = \"bank\"";
        let file: File = toml::from_str(file).unwrap();
        let (shop, bank) = (AppName::new("shop").unwrap(), AppName::new("bank").unwrap());
        let all = AppLimits { publish_rate: Some(7), ..Options::dev().limits() };
        let table = app_limits(&file, &all);
        let own = AppLimits { connections: Some(5), channels: 3, publish_rate: None, ..all };
        assert_eq!((table.of(&shop), table.of(&bank)), (Some(&own), Some(&all)));
        let count = |app, channel| retention(&file).of(app, channel).unwrap().max_count;
        assert_eq!((count(&shop, "chat:vip"), count(&bank, "chat:vip")), (Some(9), Some(1)));
        assert_eq!((count(&shop, "room"), count(&bank, "chat:a")), (None, None));
        let packs = |app, channel| compression(&file).of(app, channel);
        assert!(!packs(&shop, "chat:vip") && packs(&shop, "room") && packs(&bank, "chat:vip"));
        assert_eq!(app_origins(&file), BTreeMap::from([(shop, Vec::new())]));
    }
}
