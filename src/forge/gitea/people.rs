//! Who is asked to review, and the labels: what a pull request carries besides its commit.

use serde_json::json;

use super::{Gitea, wire};
use crate::forge::{Error, Pull, asked, one_sentence};
use crate::web;

impl Gitea {
    /// Everybody who cannot review, at once.
    pub(super) async fn find_reviewers(&self, reviewers: &[String]) -> Result<(), Error> {
        if reviewers.is_empty() {
            return Ok(());
        }
        let (teams, users): (Vec<&String>, Vec<&String>) =
            reviewers.iter().partition(|name| name.contains('/'));
        let mut problems = Vec::new();
        if !users.is_empty() {
            let myself: wire::Account = self.0.get_any("/user").await?.json()?;
            let known: Vec<wire::Account> = self.0.get("/reviewers", &[]).await?.json()?;
            let lacks = |name: &&&String| !known.iter().any(|a| a.login.eq_ignore_ascii_case(name));
            problems.extend(users.iter().filter(|name| myself.login.eq_ignore_ascii_case(name)).map(|name| {
                format!("reviewers: {name:?} is the account that opens the pull requests; correct forge.reviewers")
            }));
            problems.extend(users.iter().filter(lacks).map(|name| {
                format!("reviewers: {name:?} does not exist, or has no access to the repository; correct forge.reviewers")
            }));
        }
        if !teams.is_empty() {
            // 405: the repository belongs to no organisation.
            let answer = self.0.get("/teams", &[405]).await?;
            let known: Vec<wire::Team> = if answer.status == 405 {
                Vec::new()
            } else {
                answer.json()?
            };
            let lacks = |name: &&&String| !self.is_team_of(name, &known);
            problems.extend(teams.iter().filter(lacks).map(|name| {
                format!("reviewers: {name:?} is no team with access to the repository; correct forge.reviewers")
            }));
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(Error::Settings(one_sentence(&problems)))
    }

    fn is_team_of(&self, name: &str, known: &[wire::Team]) -> bool {
        name.split_once('/').is_some_and(|(organisation, team)| {
            organisation.eq_ignore_ascii_case(&self.0.settings.owner)
                && known.iter().any(|t| t.name.eq_ignore_ascii_case(team))
        })
    }

    /// Asks them, unless somebody was asked or has answered already: nobody is asked twice.
    pub(super) async fn request_reviews(
        &self,
        pull: &Pull,
        reviewers: &[String],
    ) -> Result<(), Error> {
        let Some(body) = asked(reviewers, &pull.author) else {
            return Ok(());
        };
        let number = pull.number;
        // A request counts as a review here.
        let path = format!("/pulls/{number}/reviews");
        let known: Vec<serde_json::Value> = self.0.get(&path, &[]).await?.json()?;
        if !known.is_empty() {
            return Ok(());
        }
        let path = format!("/pulls/{number}/requested_reviewers");
        self.0.post(&path, &body, &[]).await?;
        Ok(())
    }

    /// Labels help people to find pull requests; an order does not fail for want of one.
    pub(super) async fn label(&self, number: u64, labels: &[String]) {
        if labels.is_empty() {
            return;
        }
        if let Err(error) = self.try_label(number, labels).await {
            tracing::warn!(
                error = web::error_chain(&error),
                number,
                "cannot label the pull request"
            );
        }
    }

    async fn try_label(&self, number: u64, labels: &[String]) -> Result<(), Error> {
        let known: Vec<wire::Label> = self.0.get("/labels?limit=50", &[]).await?.json()?;
        let mut ids = Vec::new();
        for name in labels {
            let id = if let Some(label) = known.iter().find(|label| label.name == *name) {
                label.id
            } else {
                let body = json!({"name": name, "color": "#336791"});
                self.0
                    .post("/labels", &body, &[])
                    .await?
                    .json::<wire::Label>()?
                    .id
            };
            ids.push(id);
        }
        self.0
            .post(
                &format!("/issues/{number}/labels"),
                &json!({"labels": ids}),
                &[],
            )
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wiremock::matchers::{body_json, method, path};
    use wiremock::{Mock, ResponseTemplate};

    use crate::forge::tests::{Gitea, draft, gitea, put};

    async fn with_people() -> Gitea {
        let gitea = gitea().await;
        let people = r#"[{"login":"Rita"},{"login":"vdb-bot"}]"#;
        gitea.answers("GET", "/reviewers", 200, people).await;
        let teams = r#"[{"name":"dba"}]"#;
        gitea.answers("GET", "/teams", 200, teams).await;
        let myself = ResponseTemplate::new(200).set_body_json(json!({"login": "vdb-bot"}));
        Mock::given(path("/api/v1/user"))
            .respond_with(myself)
            .mount(&gitea.server)
            .await;
        gitea
    }

    #[tokio::test]
    async fn reviewers_who_cannot_review_are_named_before_anything_is_written() {
        let gitea = with_people().await;
        let not_found = r#"{"message":"not found"}"#;
        gitea
            .answers("GET", "/branches/vdb/x", 404, not_found)
            .await;
        let mut wanted = draft("538c360b", "vdb/x", vec![put("a", "b")]);
        wanted.reviewers = [
            "rita",
            "nobody",
            "acme/dba",
            "acme/none",
            "other/dba",
            "vdb-bot",
        ]
        .map(str::to_owned)
        .to_vec();
        // A call that writes would be answered 404 here, and said so.
        let text = gitea.forge.propose(&wanted).await.unwrap_err().to_string();
        for name in ["nobody", "acme/none", "other/dba", "vdb-bot"] {
            assert!(text.contains(&format!("reviewers: {name:?}")), "{text}");
        }
        assert!(
            !text.contains("rita") && !text.contains("acme/dba"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_repository_of_a_person_has_no_teams() {
        let gitea = gitea().await;
        gitea.answers("GET", "/teams", 405, "").await;
        let error = gitea.forge.check_reviewers(&["acme/dba".into()]).await;
        assert!(error.unwrap_err().to_string().contains("is no team"));
    }

    #[tokio::test]
    async fn reviewers_are_asked_once() {
        for (known, times) in [("[]", 1), (r#"[{"state":"REQUEST_REVIEW"}]"#, 0)] {
            let gitea = gitea().await;
            let open = r#"{"number":1,"state":"open","head":{"label":"vdb/x","sha":"0465b148"},"base":{"ref":"main"}}"#;
            gitea.answers("GET", "/pulls/main/vdb/x", 200, open).await;
            gitea.answers("GET", "/pulls/1/reviews", 200, known).await;
            let asked = json!({"reviewers": ["rita"], "team_reviewers": ["dba"]});
            Mock::given(method("POST"))
                .and(path(
                    "/api/v1/repos/acme/databases/pulls/1/requested_reviewers",
                ))
                .and(body_json(asked))
                .respond_with(ResponseTemplate::new(201))
                .expect(times)
                .mount(&gitea.server)
                .await;
            let mut wanted = draft("538c360b", "vdb/x", vec![]);
            wanted.reviewers = vec!["rita".into(), "acme/dba".into()];
            gitea.forge.open(&wanted).await.unwrap();
        }
    }
}
