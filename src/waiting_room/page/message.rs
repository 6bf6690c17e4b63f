//! What an operator says to those who wait: `seawall room message`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::language::Language;

/// Languages of one message at most.
pub const LANGUAGES_MAX: usize = 20;
/// Characters of one text at most.
pub const TEXT_MAX: usize = 500;

/// A message, in one or more languages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Message {
    /// By language tag; "" is for everyone whose language has none.
    texts: BTreeMap<String, String>,
    /// By [`Language`]: what is shown.
    shown: Vec<String>,
}

/// Why a message is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    #[error("the page does not speak \"{0}\"; it speaks {known}", known = known())]
    Language(String),
    #[error("the text is longer than {TEXT_MAX} characters")]
    TooLong,
    #[error("the text is empty")]
    Empty,
    #[error("more than {LANGUAGES_MAX} languages")]
    TooMany,
}

impl Message {
    /// A message by language tag; "" is for everyone whose language has none.
    pub fn new(texts: BTreeMap<String, String>) -> Result<Self, MessageError> {
        if texts.len() > LANGUAGES_MAX {
            return Err(MessageError::TooMany);
        }
        for (tag, text) in &texts {
            if !tag.is_empty() && Language::tagged(tag).is_none() {
                return Err(MessageError::Language(tag.clone()));
            }
            if text.trim().is_empty() {
                return Err(MessageError::Empty);
            }
            if text.chars().count() > TEXT_MAX {
                return Err(MessageError::TooLong);
            }
        }
        let shown = Language::ALL.map(|language| choose(&texts, language)).to_vec();
        Ok(Self { texts, shown })
    }

    /// Says something in one language, "" being everyone's who has none; the rest stays.
    pub fn set(&mut self, tag: &str, text: &str) -> Result<(), MessageError> {
        let mut texts = self.texts.clone();
        texts.insert(tag.to_owned(), text.to_owned());
        *self = Self::new(texts)?;
        Ok(())
    }

    /// Takes one language back.
    pub fn clear(&mut self, tag: &str) {
        self.texts.remove(tag);
        self.shown = Language::ALL.map(|language| choose(&self.texts, language)).to_vec();
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The text for who speaks `language`: in it, else for everyone, else in English, else in any.
    /// Empty: there is none.
    pub fn text(&self, language: Language) -> &str {
        self.shown.get(language as usize).map_or("", String::as_str)
    }

    /// By language tag, as given.
    pub const fn texts(&self) -> &BTreeMap<String, String> {
        &self.texts
    }
}

impl TryFrom<BTreeMap<String, String>> for Message {
    type Error = MessageError;

    fn try_from(texts: BTreeMap<String, String>) -> Result<Self, MessageError> {
        Self::new(texts)
    }
}

impl From<Message> for BTreeMap<String, String> {
    fn from(message: Message) -> Self {
        message.texts
    }
}

fn choose(texts: &BTreeMap<String, String>, language: Language) -> String {
    let spoken = |wanted| texts.iter().find(|(tag, _)| Language::tagged(tag) == Some(wanted)).map(|(_, text)| text);
    let text = spoken(language)
        .or_else(|| texts.get(""))
        .or_else(|| spoken(Language::DEFAULT))
        .or_else(|| texts.values().next());
    text.map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// The tags of all languages, to be named in an error.
fn known() -> String {
    Language::ALL.map(Language::tag).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(texts: &[(&str, &str)]) -> Result<Message, MessageError> {
        Message::new(texts.iter().map(|(tag, text)| ((*tag).to_owned(), (*text).to_owned())).collect())
    }

    #[test]
    fn each_is_told_in_the_language_nearest() {
        let told = message(&[("de", "Hallo"), ("", "Hello"), ("pt-BR", "Oi")]).unwrap();
        assert_eq!(told.text(Language::German), "Hallo");
        assert_eq!(told.text(Language::Portuguese), "Oi");
        assert_eq!(told.text(Language::Korean), "Hello");
        assert_eq!(message(&[("fr", "Salut")]).unwrap().text(Language::German), "Salut");
        assert_eq!(Message::default().text(Language::German), "");
    }

    #[test]
    fn what_could_not_be_shown_is_refused() {
        assert_eq!(message(&[("xx", "?")]), Err(MessageError::Language("xx".to_owned())));
        assert_eq!(message(&[("de", " ")]), Err(MessageError::Empty));
        assert_eq!(message(&[("", &"é".repeat(501))]), Err(MessageError::TooLong));
        assert!(message(&[("", &"é".repeat(500))]).is_ok());
        assert!(MessageError::Language("xx".to_owned()).to_string().ends_with("zh-Hant, ko, hi"));
    }

    #[test]
    fn it_is_kept_as_given() {
        let told = message(&[("de", "Hallo"), ("", "Hello")]).unwrap();
        let text = serde_json::to_string(&told).unwrap();
        assert_eq!(text, r#"{"":"Hello","de":"Hallo"}"#);
        assert_eq!(serde_json::from_str::<Message>(&text).unwrap(), told);
        assert!(serde_json::from_str::<Message>(r#"{"xx":"?"}"#).is_err());
    }
}
