//! What every store promises: in memory, in the mock DynamoDB, and in the DynamoDB at `OFFBOARD_TEST_DYNAMODB` (an endpoint), if it
//! is set.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    sync::Arc,
};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType::{self, N, S},
};
use futures_util::future::join_all;
use offboard::ledger::{
    NEVER,
    dynamodb::DynamoDb,
    memory::Memory,
    store::{Change, Changed, Index, Item, Merge, Store},
};
use offboard_sandbox::{aws::dynamodb as mock, mock::MockServer};

/// The most that one DynamoDB item holds, in bytes.
pub(super) const MAX_ITEM: usize = 400 * 1024;

/// The stores: each empty, with a table of its own.
pub(super) async fn stores() -> Vec<Arc<dyn Store>> {
    let mock = mock::DynamoDb::new("offboard");
    let server = MockServer::start("dynamodb", [127, 0, 0, 1].into(), mock).await.unwrap();
    let mocked = DynamoDb::new(client(&server.url("")), "offboard".to_owned());
    let mut stores: Vec<Arc<dyn Store>> = vec![Arc::new(Memory::default()), Arc::new(mocked)];
    if let Ok(endpoint) = env::var("OFFBOARD_TEST_DYNAMODB") {
        stores.push(Arc::new(table(&endpoint).await));
    }
    stores
}

pub fn client(endpoint: &str) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::new("us-east-1"))
        .credentials_provider(aws_sdk_dynamodb::config::Credentials::new("test", "test", None, None, "test"))
        .http_client(offboard::aws::http_client(None).unwrap())
        .endpoint_url(endpoint)
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

async fn table(endpoint: &str) -> DynamoDb {
    let (client, name) = (client(endpoint), format!("offboard-{}-{}", fastrand::u64(..), fastrand::u64(..)));
    let attribute = |name: &str, of: ScalarAttributeType| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(of).build().unwrap()
    };
    let key = |name: &str, of| KeySchemaElement::builder().attribute_name(name).key_type(of).build().unwrap();
    let index = |name: &str, hash: &str, range: &str| {
        let projection = Projection::builder().projection_type(ProjectionType::All).build();
        let index = GlobalSecondaryIndex::builder().index_name(name).projection(projection);
        index.key_schema(key(hash, KeyType::Hash)).key_schema(key(range, KeyType::Range)).build().unwrap()
    };
    let request = client.create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
    let request = request.key_schema(key("id", KeyType::Hash)).attribute_definitions(attribute("id", S));
    let request = request.attribute_definitions(attribute("state", S)).attribute_definitions(attribute("due_at", N));
    let request =
        request.attribute_definitions(attribute("month", S)).attribute_definitions(attribute("received_at", N));
    let request = request.attribute_definitions(attribute("source", S));
    let request = request.global_secondary_indexes(index("by_state", "state", "due_at"));
    let request = request.global_secondary_indexes(index("by_source", "source", "id"));
    request.global_secondary_indexes(index("by_month", "month", "received_at")).send().await.unwrap();
    DynamoDb::new(client, name)
}

fn item(id: &str, version: u64, document: &str) -> Item {
    Item { id: id.to_owned(), version, document: document.to_owned(), ..Item::default() }
}

fn swap(id: &str, expected: u64, document: &str) -> Change {
    Change::Swap { item: item(id, expected + 1, document), expected }
}

pub(super) async fn read(store: &Arc<dyn Store>, id: &str) -> Option<Item> {
    store.read(&BTreeSet::from([id.to_owned()])).await.unwrap().remove(id)
}

fn refused(places: &[usize]) -> Changed {
    Changed::None(places.iter().copied().collect())
}

#[tokio::test]
async fn swap_is_made_only_of_the_version_that_was_read() {
    for store in stores().await {
        assert_eq!(read(&store, "a").await, None);
        for (change, expected) in [
            (swap("a", 1, "one"), refused(&[0])),
            (swap("a", 0, "one"), Changed::All),
            (swap("a", 0, "other"), refused(&[0])),
            (swap("a", 1, "two"), Changed::All),
            (swap("a", 1, "other"), refused(&[0])),
        ] {
            assert_eq!(store.change(&[change]).await.unwrap(), expected);
        }
        assert_eq!(read(&store, "a").await, Some(item("a", 2, "two")));
        // The same write sent again, because its answer was lost, is our own.
        if format!("{store:?}").starts_with("DynamoDb") {
            assert_eq!(store.change(&[swap("a", 1, "two")]).await.unwrap(), Changed::All);
        }
    }
}

#[tokio::test]
async fn of_swaps_that_race_one_is_made() {
    for store in stores().await {
        let texts: Vec<_> = (0..8).map(|n| n.to_string()).collect();
        let changes: Vec<_> = texts.iter().map(|text| [swap("a", 0, text)]).collect();
        let changed = join_all(changes.iter().map(|change| store.change(change))).await;
        let made: Vec<_> = texts.iter().zip(changed).filter(|(_, changed)| *changed == Ok(Changed::All)).collect();
        assert_eq!(made.len(), 1);
        assert_eq!(read(&store, "a").await.unwrap().document, *made[0].0);
    }
}

#[tokio::test]
async fn transaction_is_made_as_a_whole_or_not_at_all() {
    for store in stores().await {
        store.change(&[swap("b", 0, "b")]).await.unwrap();
        let noted = |id: &str| Change::Merge(Merge::of(id).field("h:x", "y"));
        let full = |id: &str| Change::Merge(Merge::of(id).room("d", 0, None).add("d", "m"));
        store.change(&[Change::Merge(Merge::of("c").add("d", "first"))]).await.unwrap();
        let changes = [swap("a", 0, "a"), noted("x"), swap("b", 0, "b"), full("c")];
        assert_eq!(store.change(&changes).await.unwrap(), refused(&[2, 3]));
        assert_eq!((read(&store, "a").await, read(&store, "x").await), (None, None));
        assert_eq!(store.change(&[swap("a", 0, "a"), noted("x"), swap("b", 1, "c")]).await.unwrap(), Changed::All);
        assert_eq!(read(&store, "a").await.unwrap().document, "a");
        assert_eq!(read(&store, "x").await.unwrap().fields, BTreeMap::from([("h:x".to_owned(), "y".to_owned())]));
    }
}

#[tokio::test]
async fn merge_and_swap_leave_each_others_parts_alone() {
    for store in stores().await {
        let merge = Merge::of("a").add("d", "1").add("d", "2").add("e", "3").field("f", "x");
        store.change(&[Change::Merge(Merge { expires_at: Some(7), ..merge })]).await.unwrap();
        // An item without a document has no version, whatever was merged into it.
        assert_eq!(store.change(&[swap("a", 0, "one")]).await.unwrap(), Changed::All);
        let merge = Merge::of("a").add("d", "4").remove("d", "1").field("f", "y");
        // DynamoDB takes no set in two clauses of one expression.
        let merges = [Merge { remove: BTreeMap::new(), ..merge.clone() }, Merge { add: BTreeMap::new(), ..merge }];
        for merge in merges.into_iter().chain([Merge::of("a").remove("e", "3")]) {
            store.change(&[Change::Merge(merge)]).await.unwrap();
        }
        let stored = read(&store, "a").await.unwrap();
        assert_eq!((stored.version, stored.document.as_str()), (1, "one"));
        let set = BTreeSet::from(["2".to_owned(), "4".to_owned()]);
        assert_eq!(stored.sets, BTreeMap::from([("d".to_owned(), set)]), "no set is empty");
        assert_eq!(stored.fields, BTreeMap::from([("f".to_owned(), "y".to_owned())]));
    }
}

#[tokio::test]
async fn room_is_for_fewer_members_or_for_one_that_is_there() {
    for store in stores().await {
        let add = |member: &str| [Change::Merge(Merge::of("a").room("ids", 2, Some(member)).add("ids", member))];
        for (member, expected) in
            [("x", Changed::All), ("y", Changed::All), ("z", refused(&[0])), ("x", Changed::All), ("z", refused(&[0]))]
        {
            assert_eq!(store.change(&add(member)).await.unwrap(), expected, "{member}");
        }
        assert_eq!(read(&store, "a").await.unwrap().sets["ids"].len(), 2);
    }
}

#[tokio::test]
async fn all_items_of_many_ids_are_read_and_no_other() {
    for store in stores().await {
        let ids: Vec<_> = (0..120).map(|n| format!("i{n}")).collect();
        for id in &ids {
            store.change(&[swap(id, 0, "d")]).await.unwrap();
        }
        let asked = (0..250).map(|n| format!("i{n}")).collect();
        let found = store.read(&asked).await.unwrap();
        assert_eq!(found.keys().collect::<BTreeSet<_>>(), ids.iter().collect());
        assert_eq!(store.read(&BTreeSet::new()).await.unwrap(), BTreeMap::new());
    }
}

#[tokio::test]
async fn index_by_state_tells_what_is_due_oldest_first() {
    for store in stores().await {
        let put = |id: &str, state: &str, due_at: Option<i64>| {
            let received_at = due_at.unwrap_or(0);
            let index = Index { state: state.into(), due_at, month: "2026-01".into(), received_at, dry_run: id == "c" };
            Change::Swap { item: Item { index: Some(index), ..item(id, 1, "d") }, expected: 0 }
        };
        for change in [
            put("a", "pending", Some(30)),
            put("b", "pending", Some(10)),
            put("c", "pending", Some(20)),
            put("d", "held", Some(5)),
            put("e", "done", None),
            put("f", "pending", Some(NEVER)),
        ] {
            store.change(&[change]).await.unwrap();
        }
        let due = async |state: &str, until: i64, limit: usize| {
            let due = store.by_state(state, until, limit).await.unwrap();
            due.into_iter().map(|due| (due.id, due.due_at, due.dry_run)).collect::<Vec<_>>()
        };
        let all = [("b".to_owned(), 10, false), ("c".to_owned(), 20, true), ("a".to_owned(), 30, false)];
        assert_eq!(due("pending", 30, 10).await, all);
        assert_eq!(due("pending", 29, 10).await, all[..2]);
        assert_eq!(due("pending", NEVER, 1).await, all[..1]);
        assert_eq!((due("held", 4, 10).await, due("done", NEVER, 10).await), (vec![], vec![]));
        // What is settled leaves the index.
        let settled =
            Index { state: "done".into(), due_at: None, month: "2026-01".into(), received_at: 1, dry_run: false };
        let change = Change::Swap { item: Item { index: Some(settled), ..item("b", 2, "d") }, expected: 1 };
        store.change(&[change]).await.unwrap();
        assert_eq!(due("pending", 30, 10).await, all[1..]);
    }
}

#[tokio::test]
async fn index_by_month_lists_every_record_once_newest_first() {
    for store in stores().await {
        // Larger than a page of DynamoDB's (1 MB) together.
        let document = "d".repeat(200_000);
        for n in 0..9 {
            let month = if n == 4 { "2026-02" } else { "2026-01" };
            let index =
                Index { state: "done".into(), due_at: None, month: month.into(), received_at: n, dry_run: false };
            let item = Item { index: Some(index), ..item(&format!("i{n}"), 1, &document) };
            store.change(&[Change::Swap { item, expected: 0 }]).await.unwrap();
        }
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let (items, next) = store.by_month("2026-01", 0..=i64::MAX, after).await.unwrap();
            ids.extend(items.into_iter().map(|item| item.id));
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(ids, ["i8", "i7", "i6", "i5", "i3", "i2", "i1", "i0"]);
        let (items, next) = store.by_month("2026-01", 2..=5, None).await.unwrap();
        assert_eq!(items.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["i5", "i3", "i2"]);
        assert_eq!(next, None);
    }
}

#[tokio::test]
async fn index_by_source_lists_what_is_listed_under_it_in_order_until_it_is_taken_out() {
    for store in stores().await {
        let listed = |id: &str, expected: u64, source: Option<&str>| {
            let item = Item { source: source.map(str::to_owned), ..item(id, expected + 1, "{}") };
            Change::Swap { item, expected }
        };
        for (id, source) in [("#scim/a/2", Some("a")), ("#scim/a/1", Some("a")), ("#scim/b/1", Some("b")), ("c", None)]
        {
            assert_eq!(store.change(&[listed(id, 0, source)]).await.unwrap(), Changed::All);
        }
        assert_eq!(store.by_source("a").await.unwrap(), ["#scim/a/1", "#scim/a/2"]);
        assert_eq!(read(&store, "#scim/b/1").await.unwrap().source.as_deref(), Some("b"));
        assert_eq!(store.change(&[listed("#scim/a/1", 1, None)]).await.unwrap(), Changed::All);
        assert_eq!(store.by_source("a").await.unwrap(), ["#scim/a/2"]);
        assert_eq!(read(&store, "#scim/a/1").await.unwrap().source, None);
    }
}
