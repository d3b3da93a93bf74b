//! What those who are asked about requests and answers are shown.

use std::sync::{Arc, Mutex};

use crate::common::Fake;
use api::backend::{Answered, Asked, Authorization, Chain, Result};
use async_trait::async_trait;
use axum::{body::Body, http::Request};
use tower::ServiceExt;

/// Allows everything, and keeps it.
#[derive(Default)]
struct Listening(Mutex<Vec<String>>);

struct Asking(Arc<Listening>);

#[async_trait]
impl Chain for Asking {
    async fn request(&self, asked: &Asked) -> Result<()> {
        self.0.0.lock().unwrap().push(told(asked, None));
        Ok(())
    }

    async fn response(&self, asked: &Asked, answered: &Answered) -> Result<()> {
        self.0.0.lock().unwrap().push(told(asked, Some(answered)));
        Ok(())
    }
}

struct Everyone(Arc<Listening>);

impl Authorization for Everyone {
    fn chain(&self) -> Option<Arc<dyn Chain>> {
        Some(Arc::new(Asking(Arc::clone(&self.0))))
    }
}

fn told(asked: &Asked, answered: Option<&Answered>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let answer = answered.map(|a| (a.status, text(&a.body)));
    format!("{} {} {answer:?}", asked.uri, text(&asked.body))
}

#[tokio::test]
async fn neither_password_nor_token_of_a_login_is_shown() {
    let fake = Arc::new(Fake::default());
    let heard = Arc::new(Listening::default());
    let mut server = crate::common::server(&fake);
    server.authorization = Some(Arc::new(Everyone(Arc::clone(&heard))));
    let body = r#"{"username": "gets-a-token", "password": "hush"}"#;
    let request = Request::post("/auth")
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap();
    let response = server.router().oneshot(request).await.unwrap();
    let answer = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    let answer = String::from_utf8(answer.unwrap().to_vec()).unwrap();
    assert!(answer.contains("granted"), "{answer}");
    let heard = heard.0.lock().unwrap();
    assert_eq!(heard[..], ["/auth  None", "/auth  Some((200, \"\"))"]);
}
