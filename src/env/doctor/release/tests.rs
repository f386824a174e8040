use std::sync::Mutex;

use super::*;

#[derive(Default)]
struct Fake {
    operators: Mutex<Vec<Vec<String>>>,
    resources: Vec<Value>,
    ledger_fails: bool,
    calls: Mutex<Vec<String>>,
    entries: Mutex<Vec<Value>>,
}

impl Fake {
    fn with(resources: Vec<Value>) -> Self {
        Self {
            resources,
            ..Self::default()
        }
    }

    fn call(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

#[async_trait]
impl Api for Fake {
    /// One answer after the other; then nobody lives.
    async fn operators(&self) -> Result<Vec<String>> {
        Ok(self.operators.lock().unwrap().pop().unwrap_or_default())
    }
    async fn resources(&self) -> Result<Vec<Value>> {
        Ok(self.resources.clone())
    }
    async fn volumes(&self, uid: &str) -> Result<Vec<String>> {
        Ok(vec![format!("pv-of-{uid}")])
    }
    async fn record(&self, uid: &str, entry: &Value) -> Result<()> {
        if self.ledger_fails {
            bail!("namespace vdb-system does not exist");
        }
        self.call(format!("record {uid}"));
        self.entries.lock().unwrap().push(entry.clone());
        Ok(())
    }
    async fn keep_finalizers(&self, resource: &Value, finalizers: &[String]) -> Result<()> {
        let name = resource["metadata"]["name"].as_str().unwrap();
        self.call(format!("{name} keeps {finalizers:?}"));
        Ok(())
    }
}

fn resource(name: &str, finalizers: &[&str]) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "postgres-vdbs-a", "uid": format!("uid-{name}"),
            "resourceVersion": "7", "finalizers": finalizers },
        "status": { "vdb": { "id": "7-VDB-1", "intent": { "name": "n", "at": "t" } } },
    })
}

#[tokio::test]
async fn the_ledger_comes_first_and_only_our_finalizer_goes() {
    let fake = Fake::with(vec![
        resource("a-vdb", &[FINALIZER, "foregroundDeletion"]),
        resource("b-vdb", &["somebody/else"]),
    ]);
    let held = look(&fake, "now").await.unwrap();
    let checks = release(&fake, &held).await;
    assert_eq!(
        fake.calls(),
        ["record uid-a-vdb", r#"a-vdb keeps ["foregroundDeletion"]"#]
    );
    let entry = &fake.entries.lock().unwrap()[0];
    assert_eq!(entry["vdbId"], "7-VDB-1");
    assert_eq!(entry["vdbName"], "n");
    assert_eq!(entry["volumes"], json!(["pv-of-uid-a-vdb"]));
    assert_eq!(entry["kept"], true);
    assert_eq!(checks.len(), 1);
    assert_eq!(
        checks[0].detail,
        "released, leaves virtual database 7-VDB-1 and volume pv-of-uid-a-vdb"
    );
}

#[tokio::test]
async fn nothing_is_released_while_an_operator_lives() {
    let lives = || vec!["Pod vdb-system/vdb-operator-1".to_owned()];
    let fake = Fake::with(vec![resource("a-vdb", &[FINALIZER])]);
    fake.operators.lock().unwrap().push(lives());
    let refused = look(&fake, "now").await.err().unwrap().to_string();
    assert!(refused.contains("vdb-operator-1") && refused.contains("nothing was released"));

    // It came while the question was being answered.
    fake.operators.lock().unwrap().push(lives());
    let refused = none_by_now(&fake).await.unwrap_err().to_string();
    assert!(refused.contains("by now"), "{refused}");
    assert!(fake.calls().is_empty());
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_let_go() {
    let fake = Fake {
        ledger_fails: true,
        ..Fake::with(vec![resource("a-vdb", &[FINALIZER])])
    };
    let held = look(&fake, "now").await.unwrap();
    let checks = release(&fake, &held).await;
    assert_eq!(checks[0].outcome, crate::doctor::Outcome::Problem);
    assert!(checks[0].detail.contains("vdb-system"), "{checks:?}");
    assert!(fake.calls().is_empty());
}

#[tokio::test]
async fn a_dry_run_says_what_would_go() {
    let fake = Fake::with(vec![resource("a-vdb", &[FINALIZER])]);
    let said = dry(&look(&fake, "now").await.unwrap());
    assert_eq!(said[0].name, "postgres-vdbs-a/a-vdb");
    assert!(
        said[0]
            .detail
            .contains("would be released: leaves virtual database 7-VDB-1")
    );
    assert!(fake.calls().is_empty());
    let nothing = dry(&look(&Fake::default(), "now").await.unwrap());
    assert_eq!(nothing[0].outcome, crate::doctor::Outcome::Ok);
}
