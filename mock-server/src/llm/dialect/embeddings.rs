//! Embeddings: a text as a vector of length one, the same in every run.
//!
//! A vector is made of the words of its text, so texts that share words are near to each
//! other, and a search among them finds what a person would expect. What words mean, it
//! does not know.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::llm::score::ids;
use crate::llm::tokens;

/// What a model has unless the request says otherwise.
const USUAL: usize = 1536;
/// `text-embedding-3-large` has more.
const LARGE: usize = 3072;
/// How many texts one request may have.
const MOST: usize = 2048;

/// The body of `POST embeddings`.
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    model: Option<String>,
    input: Option<Input>,
    #[serde(default)]
    encoding_format: Format,
    dimensions: Option<usize>,
}

/// What is to be embedded; tokens are numbers.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    ManyTokens(Vec<Vec<u32>>),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Float,
    Base64,
}

/// What is wrong with a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("We could not parse the JSON body of your request: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("you must provide a model parameter")]
    NoModel,
    #[error("Missing required parameter: 'input'.")]
    NoInput,
    #[error("Invalid 'input': input cannot be an empty string.")]
    Empty,
    #[error(
        "Invalid 'input': array too long. Expected an array with maximum length {MOST}, but got an array with length {0} instead."
    )]
    TooMany(usize),
    #[error("Invalid value for 'dimensions' = {asked}. Must be between 1 and {most}.")]
    Dimensions { asked: usize, most: usize },
}

/// The answer, and how many texts and tokens it is about.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    object: &'static str,
    data: Vec<Embedding>,
    pub(crate) model: String,
    usage: Usage,
}

#[derive(Debug, Serialize)]
struct Embedding {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Vector {
    Float(Vec<f32>),
    Base64(String),
}

#[derive(Debug, Serialize)]
struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// Reads a request and answers it.
pub(crate) fn embed(body: &[u8]) -> Result<Answer, Unfit> {
    let request: Request = serde_json::from_slice(body)?;
    let model = request.model.ok_or(Unfit::NoModel)?;
    let input = request.input.ok_or(Unfit::NoInput)?;
    let most = if model.ends_with("3-large") {
        LARGE
    } else {
        USUAL
    };
    let dimensions = match request.dimensions {
        Some(asked) if asked == 0 || asked > most => {
            return Err(Unfit::Dimensions { asked, most });
        }
        asked => asked.unwrap_or(most),
    };
    let tokens = input.tokens();
    let texts = input.texts();
    if texts.is_empty() || texts.iter().any(String::is_empty) {
        return Err(Unfit::Empty);
    }
    if texts.len() > MOST {
        return Err(Unfit::TooMany(texts.len()));
    }
    let data = texts.iter().enumerate().map(|(index, text)| Embedding {
        object: "embedding",
        index,
        embedding: Vector::of(text, dimensions, request.encoding_format),
    });
    Ok(Answer {
        object: "list",
        data: data.collect(),
        model,
        usage: Usage {
            prompt_tokens: tokens,
            total_tokens: tokens,
        },
    })
}

impl Answer {
    pub(crate) fn texts(&self) -> usize {
        self.data.len()
    }

    pub(crate) fn tokens(&self) -> u64 {
        self.usage.total_tokens
    }
}

impl Input {
    /// Numbers count themselves, texts by the rule for all texts.
    fn tokens(&self) -> u64 {
        let of_text = |text: &String| tokens::in_bytes(text.len());
        match self {
            Self::Text(text) => of_text(text),
            Self::Texts(texts) => texts.iter().map(of_text).sum(),
            Self::Tokens(tokens) => tokens.len() as u64,
            Self::ManyTokens(many) => many.iter().map(|tokens| tokens.len() as u64).sum(),
        }
    }

    /// Tokens are words like any other.
    fn texts(self) -> Vec<String> {
        let written = |tokens: Vec<u32>| {
            let tokens: Vec<_> = tokens.iter().map(u32::to_string).collect();
            tokens.join(" ")
        };
        match self {
            Self::Text(text) => vec![text],
            Self::Texts(texts) => texts,
            Self::Tokens(tokens) => vec![written(tokens)],
            Self::ManyTokens(many) => many.into_iter().map(written).collect(),
        }
    }
}

impl Vector {
    fn of(text: &str, dimensions: usize, format: Format) -> Self {
        let vector = vector(text, dimensions);
        match format {
            Format::Float => Self::Float(vector),
            Format::Base64 => {
                let bytes: Vec<_> = vector
                    .iter()
                    .flat_map(|number| number.to_le_bytes())
                    .collect();
                Self::Base64(STANDARD.encode(bytes))
            }
        }
    }
}

/// The sum of the words' directions, of length one. Fewer dimensions are the first ones.
fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f64; dimensions];
    let lower = text.to_lowercase();
    let words = lower.split(|letter: char| !letter.is_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    // A text without a word is a word of its own.
    let words = if words.is_empty() { vec![text] } else { words };
    for word in words {
        let directions = ids::numbers(word);
        for (place, number) in sum.iter_mut().zip(directions) {
            *place += number;
        }
    }
    let length = sum.iter().map(|number| number * number).sum::<f64>().sqrt();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the wire has single precision"
    )]
    sum.iter().map(|number| (number / length) as f32).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn near(one: &str, other: &str) -> f32 {
        let pairs = vector(one, USUAL).into_iter().zip(vector(other, USUAL));
        pairs.map(|(one, other)| one * other).sum()
    }

    #[test]
    fn a_text_is_near_to_itself_and_to_texts_that_share_its_words() {
        assert!((near("My cat is Miso.", "my cat is miso") - 1.0).abs() < 1e-5);
        let (shared, others) = (
            near("my cat is Miso", "what is my cat called"),
            near("my cat is Miso", "the deployment failed again"),
        );
        assert!(shared > 0.5 && others.abs() < 0.1, "{shared} {others}");
        assert!((near("…", "…") - 1.0).abs() < 1e-5);
    }

    #[test]
    fn fewer_dimensions_are_the_first_ones_made_longer() {
        let (long, short) = (vector("hi there", 8), vector("hi there", 4));
        let stretch = short[0] / long[0];
        for (long, short) in long.iter().zip(&short) {
            assert!((long * stretch - short).abs() < 1e-5);
        }
        let length: f32 = short.iter().map(|number| number * number).sum();
        assert!((length - 1.0).abs() < 1e-5);
    }

    #[test]
    fn a_request_that_cannot_be_is_refused() {
        #[track_caller]
        fn check(body: &Value, complaint: &str) {
            let fault = embed(body.to_string().as_bytes()).unwrap_err();
            assert_eq!(fault.to_string(), complaint);
        }
        check(&json!({"input": "x"}), "you must provide a model parameter");
        check(
            &json!({"model": "m"}),
            "Missing required parameter: 'input'.",
        );
        check(
            &json!({"model": "m", "input": ["x", ""]}),
            "Invalid 'input': input cannot be an empty string.",
        );
        check(
            &json!({"model": "m", "input": "x", "dimensions": 1537}),
            "Invalid value for 'dimensions' = 1537. Must be between 1 and 1536.",
        );
        check(
            &json!({"model": "m", "input": vec!["x"; 2049]}),
            "Invalid 'input': array too long. Expected an array with maximum length 2048, but got an array with length 2049 instead.",
        );
    }
}
