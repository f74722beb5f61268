//! The providers from which the people that a source reports are removed.

use std::collections::BTreeSet;

use crate::settings::nearest::suggestion;

/// The providers that a source covers, by name.
#[derive(Clone, Debug, Default)]
pub(super) enum Coverage {
    /// All that are configured.
    #[default]
    All,
    /// These alone.
    Only(BTreeSet<String>),
    /// All but these.
    Except(BTreeSet<String>),
}

impl Coverage {
    /// Checks `providers` and `except` of a source. `known` are the names of all configured providers.
    ///
    /// # Errors
    /// Says of every unknown name which one was meant.
    pub(super) fn new(
        providers: Option<Vec<String>>,
        except: Option<Vec<String>>,
        known: &[String],
    ) -> Result<Self, Vec<(&'static str, String)>> {
        let (key, named) = match (&providers, &except) {
            (None, None) => return Ok(Self::All),
            (Some(_), Some(_)) => {
                return Err(vec![("except", "`providers` and `except` exclude each other: keep one".to_owned())]);
            }
            (Some(named), None) => ("providers", named),
            (None, Some(named)) => ("except", named),
        };
        if named.is_empty() {
            return Err(vec![(key, format!("`{key}` must name at least one provider; without it all are covered"))]);
        }
        let names: Vec<_> = known.iter().map(String::as_str).collect();
        let unknown = named.iter().filter(|name| !known.contains(name));
        let errors: Vec<_> = unknown
            .map(|name| (key, format!("`{key}` names an unknown provider `{name}`: {}", suggestion(name, &names))))
            .collect();
        let named = named.iter().cloned().collect();
        match key {
            _ if !errors.is_empty() => Err(errors),
            "providers" => Ok(Self::Only(named)),
            _ => Ok(Self::Except(named)),
        }
    }

    pub(super) fn contains(&self, provider: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(named) => named.contains(provider),
            Self::Except(named) => !named.contains(provider),
        }
    }
}
