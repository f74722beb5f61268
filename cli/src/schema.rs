//! `offboard schema`: a JSON Schema of the configuration, for editors.
//!
//! What is the same for every kind stands in `schema/base.json`; the kinds come from their registries. A test compares the
//! keys of each table with those that the configuration's reader knows.

use std::process::ExitCode;

use anyhow::{Context, Error};
use clap::Args;
use offboard::{
    providers::{ProviderKind, Setting, SettingForm},
    source::{KINDS, KindSpec, SourceKind},
};
use offboard_sandbox::screen::print;
use serde_json::{Map, Value, json};

use crate::configured::Configured;

const BASE: &str = include_str!("schema/base.json");

/// The options of `offboard schema`.
#[derive(Args)]
#[command(after_help = "Editors check offboard.toml with it, and complete keys, where its first line is\n\n  \
                        #:schema ./offboard.schema.json\n\nYour own kinds of providers, beside the configuration, are part of it: \
                        write it anew after adding one.")]
pub struct Schema {
    #[command(flatten)]
    configured: Configured,
}

impl Schema {
    /// Prints the schema.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let kinds: Vec<_> = ProviderKind::all().into_iter().chain(self.configured.own_kinds()?).collect();
        let specs = KINDS.iter().map(|kind| Ok((kind, kind.spec().map_err(Error::msg)?)));
        let specs = specs.collect::<anyhow::Result<Vec<_>>>()?;
        let mut schema: Value = serde_json::from_str(BASE).context("the schema's base")?;
        add_sources(&mut schema["definitions"], &specs);
        add_providers(&mut schema["definitions"], &kinds);
        let definitions = schema["definitions"].clone();
        inline(&mut schema, &definitions);
        print(&format!("{schema:#}"));
        Ok(ExitCode::SUCCESS)
    }
}

fn add_sources(definitions: &mut Value, specs: &[(&SourceKind, KindSpec)]) {
    let names = specs.iter().map(|(kind, _)| kind.name).collect::<Vec<_>>();
    let senders = specs.iter().map(|(_, spec)| spec.sender.as_str()).collect::<Vec<_>>();
    definitions["source"]["properties"]["kind"] =
        json!({"description": "What the sender is.", "enum": names, "x-taplo": documented(&senders)});
    let kinds = specs.iter().map(|(kind, spec)| when(kind.name, of_source(kind, spec), json!({})));
    definitions["source_of_a_kind"] = each_and("source", kinds);
}

fn add_providers(definitions: &mut Value, kinds: &[&ProviderKind]) {
    let names = kinds.iter().map(|kind| kind.name).collect::<Vec<_>>();
    let titles = kinds.iter().map(|kind| kind.title).collect::<Vec<_>>();
    let properties = &mut definitions["provider"]["properties"];
    let common = properties.as_object().cloned().unwrap_or_default();
    // A file of one's own may have come since the schema was written.
    let any_other = json!({"type": "string", "pattern": "^[a-z0-9_]+$"});
    properties["kind"] = json!({
        "description": "What the product is.",
        "anyOf": [{"enum": names, "x-taplo": documented(&titles)}, any_other],
    });
    let kinds = kinds.iter().map(|kind| when(kind.name, of_provider(kind, &common), settings(kind)));
    definitions["provider_of_a_kind"] = each_and("provider", kinds);
}

/// What an editor shows beside each value.
fn documented(values: &[&str]) -> Value {
    json!({"docs": {"enumValues": values}})
}

/// What holds of every kind, and what of each. Editors look for what a key means in the parts of `allOf`, and not beside it.
fn each_and(common: &str, kinds: impl Iterator<Item = Value>) -> Value {
    let common = json!({"$ref": format!("#/definitions/{common}")});
    let all: Vec<_> = [common].into_iter().chain(kinds).collect();
    json!({ "allOf": all })
}

/// What is required if the kind is this one. `properties` only describe: editors do not look into `then`.
fn when(kind: &str, then: Value, properties: Value) -> Value {
    let of_kind = json!({"required": ["kind"], "properties": {"kind": {"const": kind}}});
    json!({"if": of_kind, "then": then, "properties": properties})
}

/// What the settings of a kind are, for a person.
fn settings(kind: &ProviderKind) -> Value {
    let about = |setting: &Setting| json!({"description": format!("{}: {}", kind.name, setting.description)});
    Value::Object(kind.settings.iter().map(|setting| (setting.name.to_owned(), about(setting))).collect())
}

/// Puts a definition into its place where something stands beside the reference to it: `{"description", "allOf": [{"$ref"}]}`.
fn inline(schema: &mut Value, definitions: &Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| inline(item, definitions)),
        Value::Object(fields) => {
            let only = fields.get("allOf").and_then(Value::as_array).filter(|all| all.len() == 1);
            let name = only.and_then(|all| all[0]["$ref"].as_str()?.strip_prefix("#/definitions/"));
            if let Some(definition) = name.and_then(|name| definitions[name].as_object()) {
                let defined = definition.clone();
                fields.remove("allOf");
                defined.into_iter().for_each(|(key, value)| {
                    fields.entry(key).or_insert(value);
                });
            }
            fields.values_mut().for_each(|field| inline(field, definitions));
        }
        _ => {}
    }
}

/// What a kind requires of its source, and what it does not take.
fn of_source(kind: &SourceKind, spec: &KindSpec) -> Value {
    let mut properties = Map::new();
    let required = match kind.name {
        "hmac" => vec!["signature", "event", "person"],
        "token" => vec!["token", "event", "person"],
        _ if kind.secret_key(spec).is_none() => vec!["jwks"],
        _ => Vec::new(),
    };
    if kind.name != "hmac" {
        properties.insert("signature".to_owned(), false.into());
    }
    if kind.secret_key(spec).is_none() {
        properties.insert("secret".to_owned(), false.into());
    }
    if spec.eventbridge.is_none() {
        properties.extend(["via", "event_source"].map(|key| (key.to_owned(), false.into())));
    }
    let also = spec.also();
    if !also.is_empty() {
        let items = json!({"anyOf": [{"enum": also}, {"type": "string"}]});
        properties.insert("also".to_owned(), json!({"items": items}));
    }
    json!({"description": format!("{}. {}", spec.sender, spec.page), "required": required, "properties": properties})
}

/// What a kind requires of its provider, and all keys that it takes.
fn of_provider(kind: &ProviderKind, common: &Map<String, Value>) -> Value {
    let keys =
        common.keys().filter(|key| *key == "kind" || kind.takes(key)).map(|key| (key.clone(), Value::Bool(true)));
    let settings = kind.settings.iter().map(|setting| (setting.name.to_owned(), of_setting(setting)));
    let mut properties: Map<_, _> = keys.chain(settings).collect();
    properties.insert("action".to_owned(), json!({"enum": kind.actions}));
    let required = kind.settings.iter().filter(|setting| setting.required).map(|setting| setting.name);
    let required: Vec<_> = required.chain(kind.needs.iter().copied()).collect();
    json!({
        "description": format!("{}. {} {}", kind.title, kind.effect, kind.page),
        "required": required,
        "properties": properties,
        "additionalProperties": false,
    })
}

fn of_setting(setting: &Setting) -> Value {
    let mut text = match setting.form {
        SettingForm::Flag => json!({"type": "boolean"}),
        SettingForm::Url => json!({"allOf": [{"$ref": "#/definitions/url"}]}),
        SettingForm::Text | SettingForm::Texts if setting.one_of.is_empty() => {
            json!({"type": "string", "minLength": 1})
        }
        SettingForm::Text | SettingForm::Texts => json!({"enum": setting.one_of}),
    };
    if let Some(class) = setting.characters {
        text["pattern"] = format!("^[{}]*$", class_of(class)).into();
    }
    if let Some(longest) = setting.longest {
        text["maxLength"] = longest.into();
    }
    let mut schema = match setting.form {
        SettingForm::Texts => json!({"type": "array", "minItems": 1, "uniqueItems": true, "items": text}),
        _ => text,
    };
    schema["description"] = setting.description.into();
    match (setting.form, setting.default) {
        (SettingForm::Flag, Some(default)) => schema["default"] = (default == "true").into(),
        (_, Some(default)) => schema["default"] = default.into(),
        (_, None) => {}
    }
    schema
}

/// Returns a class of characters as a regular expression has it: a hyphen at its end, which stands for itself, escaped.
fn class_of(class: &str) -> String {
    let escaped = class.replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]").replace('^', "\\^");
    escaped.strip_suffix('-').map_or(escaped.clone(), |rest| format!("{rest}\\-"))
}
