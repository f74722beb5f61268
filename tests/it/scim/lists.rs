//! Lists and filters, what they show, and that nothing of one source is visible at another.

use std::collections::BTreeSet;

use super::*;

async fn page(world: &World, query: &str) -> (u64, u64, Vec<String>) {
    let body = expect(world, 200, &format!("GET /Users?{query}"), Value::Null).await;
    let users = body["Resources"].as_array().unwrap();
    assert_eq!(body["itemsPerPage"], users.len());
    let names = users.iter().map(|user| user["userName"].as_str().unwrap().to_owned()).collect();
    (body["totalResults"].as_u64().unwrap(), body["startIndex"].as_u64().unwrap(), names)
}

#[tokio::test]
async fn pages_show_everybody_once_in_a_stable_order_with_the_whole_total() {
    let world = World::new().await;
    for n in 0..250 {
        create(&world, &format!("a{n}@example.com")).await;
    }
    let mut seen = BTreeSet::new();
    for (start, count) in [(1, 100), (101, 100), (201, 50)] {
        let (total, shown, names) = page(&world, &format!("startIndex={start}&count=100")).await;
        assert_eq!((total, shown, names.len()), (250, start, count));
        seen.extend(names);
    }
    assert_eq!(seen.len(), 250);
    for (query, start, count) in [
        ("", 1, 100),
        ("count=1000", 1, 100),
        ("count=0", 1, 0),
        ("count=-1", 1, 0),
        ("startIndex=0&count=1", 1, 1),
        ("startIndex=-7&count=1", 1, 1),
        ("startIndex=251", 251, 0),
    ] {
        let (total, shown, names) = page(&world, query).await;
        assert_eq!((total, shown, names.len()), (250, start, count), "{query}");
    }
    assert_eq!(page(&world, "startIndex=1&count=2").await, page(&world, "startindex=1&COUNT=2&aadOptscim062020").await);
    assert_eq!(expect(&world, 400, "GET /Users?count=x", Value::Null).await["scimType"], "invalidValue");
}

#[tokio::test]
async fn filter_finds_by_each_attribute_and_by_all_together() {
    let world = World::new().await;
    let emails = json!([{"value": "ann@example.com", "type": "work", "primary": true}, {"value": "a@example.net", "type": "home"}]);
    let ann = post(&world, 201, json!({"userName": "ann", "externalId": "E1", "emails": emails})).await;
    let lee = create(&world, "lee+x@example.com").await;
    set_active(&world, &lee, false).await;
    let found = async |filter: &str| page(&world, &format!("filter={filter}")).await.2;
    for (filter, names) in [
        ("userName eq \"ANN\"", vec!["ann"]),
        ("externalId eq \"E1\"", vec!["ann"]),
        ("externalId eq \"e1\"", vec![]),
        ("emails eq \"ann@example.com\"", vec!["ann"]),
        ("emails.value eq \"Ann@Example.com\"", vec!["ann"]),
        // A private address is in no item.
        ("emails.value eq \"a@example.net\"", vec![]),
        ("emails[type eq \"work\"].value eq \"ann@example.com\"", vec!["ann"]),
        ("emails[type eq \"work\"].value eq \"a@example.net\"", vec![]),
        ("emails[type eq \"work\" and value eq \"ann@example.com\"]", vec!["ann"]),
        ("emails[type eq \"work\"] and active eq true", vec!["ann"]),
        ("emails[primary eq \"True\"]", vec!["ann"]),
        ("active eq False", vec!["lee+x@example.com"]),
        ("active eq \"true\"", vec!["ann"]),
        ("userName eq \"ann\" and active eq false", vec![]),
        ("active eq true and userName eq \"ann\"", vec!["ann"]),
        // A plus that was not escaped arrives as a space.
        ("userName eq \"lee+x@example.com\"", vec!["lee+x@example.com"]),
        ("userName eq \"lee%2Bx@example.com\"", vec!["lee+x@example.com"]),
        ("userName eq \"lee%252Bx@example.com\"", vec!["lee+x@example.com"]),
    ] {
        assert_eq!(found(filter).await, names, "{filter}");
    }
    assert_eq!(page(&world, &format!("filter=id eq \"{ann}\"")).await.2, ["ann"]);
    for filter in [
        "userName co \"a\"",
        "nickName eq \"x\"",
        "displayName eq \"x\"",
        "userName sw a",
        "emails.display eq \"x\"",
        "x",
    ] {
        let refused = expect(&world, 400, &format!("GET /Users?filter={filter}"), Value::Null).await;
        assert_eq!(refused["scimType"], "invalidFilter", "{filter}");
    }
}

#[tokio::test]
async fn attributes_that_are_asked_for_are_shown_and_others_left_out() {
    let world = World::new().await;
    let user = json!({
        "userName": "ann@example.com", "name": {"givenName": "Ann", "familyName": "Lee"},
        "emails": [{"value": "ann@example.com", "type": "work"}],
    });
    let id = post(&world, 201, user).await;
    let keys = |body: &Value| body.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let path = format!("GET /Users/{id}");
    for (query, expected) in [
        ("attributes=userName", "id schemas userName"),
        ("attributes=USERNAME, active", "active id schemas userName"),
        ("attributes=urn:ietf:params:scim:schemas:core:2.0:User:userName", "id schemas userName"),
        ("attributes=name.givenName", "id name schemas"),
        ("excludedAttributes=emails,meta,id", "active id name schemas userName"),
        ("excludedAttributes=userName", "active emails id meta name schemas"),
    ] {
        let body = expect(&world, 200, &format!("{path}?{query}"), Value::Null).await;
        assert_eq!(keys(&body), expected, "{query}");
        let listed = expect(&world, 200, &format!("GET /Users?{query}"), Value::Null).await;
        assert_eq!(keys(&listed["Resources"][0]), expected, "{query}");
    }
    let part = expect(&world, 200, &format!("{path}?attributes=name.givenName"), Value::Null).await;
    assert_eq!(part["name"], json!({"givenName": "Ann"}));
    let part = expect(&world, 200, &format!("{path}?excludedAttributes=name.givenName,emails.type"), Value::Null).await;
    assert_eq!(
        (&part["name"], &part["emails"]),
        (&json!({"familyName": "Lee"}), &json!([{"value": "ann@example.com"}]))
    );
}

#[tokio::test]
async fn nothing_of_one_source_is_visible_at_another() {
    let world = World::new().await;
    let ann = post(&world, 201, json!({"userName": "ann@example.com", "externalId": "E1"})).await;
    for request in [
        format!("GET /Users/{ann}"),
        format!("PATCH /Users/{ann}"),
        format!("PUT /Users/{ann}"),
        format!("DELETE /Users/{ann}"),
    ] {
        let body = json!({"userName": "x", "Operations": [{"op": "replace", "path": "active", "value": false}]});
        assert_eq!(send(&world, "scim2", &request, body).await.status, 404, "{request}");
    }
    for query in [
        "",
        "?filter=userName eq \"ann@example.com\"",
        "?filter=externalId eq \"E1\"",
        "?filter=emails eq \"ann@example.com\"",
        "?filter=active eq true",
    ] {
        let body = send(&world, "scim2", &format!("GET /Users{query}"), Value::Null).await.body;
        assert_eq!((&body["totalResults"], &body["Resources"]), (&json!(0), &json!([])), "{query}");
    }
    let other = send(&world, "scim2", "POST /Users", json!({"userName": "ann@example.com", "externalId": "E1"})).await;
    assert_eq!(other.status, 201);
    assert_ne!(other.body["id"], ann.as_str());
    assert_eq!(page(&world, "").await.0, 1);
    assert_eq!(departures(&world).await, [""; 0]);
}

#[tokio::test]
async fn endpoint_describes_itself_and_nothing_else_is_supported() {
    let world = World::new().await;
    let config = expect(&world, 200, "GET /ServiceProviderConfig", Value::Null).await;
    assert_eq!((&config["patch"]["supported"], &config["bulk"]["supported"]), (&json!(true), &json!(false)));
    let types = expect(&world, 200, "GET /ResourceTypes", Value::Null).await;
    assert_eq!((&types["totalResults"], &types["Resources"][0]["endpoint"]), (&json!(1), &json!("/Users")));
    expect(&world, 200, "GET /ResourceTypes/User", Value::Null).await;
    let schemas = expect(&world, 200, "GET /Schemas", Value::Null).await;
    assert_eq!(schemas["totalResults"], 1);
    let named =
        schemas["Resources"][0]["attributes"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap());
    assert_eq!(named.collect::<Vec<_>>(), ["userName", "name", "displayName", "active", "emails"]);
    assert_eq!(send(&world, "scim2", "GET /Schemas", Value::Null).await.body["totalResults"], 2);
    for (status, request) in [
        (404, "GET /Schemas/x"),
        (404, "GET /Nothing"),
        (404, "GET /Users/1/emails"),
        (405, "POST /Schemas"),
        (405, "DELETE /ServiceProviderConfig"),
        (405, "PUT /ResourceTypes/User"),
        (405, "DELETE /Users"),
        (405, "POST /Users/1"),
        (501, "GET /Me"),
        (501, "POST /Bulk"),
        (501, "POST /.search"),
        (501, "POST /Users/.search"),
        (501, "GET /Users?sortBy=userName"),
        (400, "POST /Users"),
        (400, "PATCH /Users/1"),
    ] {
        let body = expect(&world, status, request, json!("x")).await;
        assert_eq!((&body["status"], body["detail"].is_string()), (&json!(status.to_string()), true), "{request}");
        assert_eq!(body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]));
    }
}
