//! Peers that mean no good: each is noticed, counted and bounded, and nobody else sees anything of it.

use cardata_mqtt::Version;
use cardata_mqtt::encode::PACKET_SIZE_MAX;
use metrics_exporter_prometheus::PrometheusBuilder;

use super::super::test_peer::packet;
use super::*;

/// Somebody who must not notice anything.
async fn bystander(world: &World) -> Peer {
    add_container(world, Person::Ben, Person::Ben.client_id(), SOC).await;
    let token = id_token(world, Person::Ben).await;
    let (mut bystander, _) = Peer::connected(world, Person::Ben, &token, "bystander", true).await;
    assert_eq!(bystander.subscribe(&format!("{}/+", Person::Ben.gcid()), 0).await, 0);
    bystander
}

async fn assert_unaffected(world: &World, bystander: &mut Peer) {
    report(world, BENS, 1).await;
    assert_eq!(bystander.values().await, soc(1));
    assert!(bystander.is_quiet().await);
}

#[tokio::test]
async fn whoever_does_not_say_who_it_is_is_let_go() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let world = world(Profile::open()).await;
    let mut bystander = bystander(&world).await;
    let connect = packet(0x10, &Connect::new(Version::V311, Person::Anna, "token").body());
    tokio::time::pause();
    let begin = tokio::time::Instant::now();
    let mut silent = Peer::open(&world);
    let mut dripping = Peer::open(&world);
    let drips = async {
        for byte in connect {
            dripping.send_bytes(&[byte]).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        () = drips => panic!("all of a CONNECT was waited for"),
        ended = silent.receive() => assert_eq!(ended, None),
    }
    assert_eq!(dripping.receive().await, None);
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    tokio::time::resume();
    assert_unaffected(&world, &mut bystander).await;
    let metrics = recorder.handle().render();
    assert!(metrics.contains("mqtt_closed_total{reason=\"connect_timeout\"} 2"), "{metrics}");
}

#[tokio::test]
async fn whoever_never_reads_again_is_let_go_and_its_place_is_free() {
    const EVENTS: u32 = 1000;
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let refusing = Profile { connections: Connections::OnePerCustomerRefuse, ..Profile::open() };
    let world = world(refusing).await;
    let mut bystander = bystander(&world).await;
    add_container(&world, Person::Anna, Person::Anna.client_id(), SOC).await;
    let token = id_token(&world, Person::Anna).await;
    let annas = Person::Anna.gcid().to_string();
    // Without a keep-alive time, which would end it sooner: nobody hears it while its answers wait.
    let connect = Connect { keep_alive: 0, ..Connect::new(Version::V311, Person::Anna, &token) };
    let (mut stuck, _) = Peer::connect_with(&world, &connect).await;
    assert_eq!(stuck.subscribe(&format!("{annas}/+"), 0).await, 0);
    let (_, code, _) = Peer::connect(&world, &annas, &token, "other", true).await;
    assert_eq!(code, 5, "the place is taken");

    // From here on until the clock goes on, nothing needs the directory: a clean session is not stored at its end.
    tokio::time::pause();
    let begin = tokio::time::Instant::now();
    for number in 1..=EVENTS {
        // More than the pipe and the server's buffer hold.
        report(&world, ANNAS, number).await;
        report(&world, BENS, number).await;
        assert_eq!(bystander.values().await, soc(number.into()));
    }
    while world.platform.router.connections() > 1 {
        assert!(begin.elapsed() < Duration::from_secs(75), "its place is still taken");
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(bystander.is_quiet().await, "it got everything, and once");
    }
    assert!(begin.elapsed() >= Duration::from_mins(1), "{:?}", begin.elapsed());
    tokio::time::resume();

    let metrics = recorder.handle().render();
    assert!(metrics.contains("mqtt_closed_total{reason=\"write_timeout\"} 1"), "{metrics}");
    let (mut next, _) = Peer::connected(&world, Person::Anna, &token, "other", true).await;
    assert!(next.is_quiet().await);
    assert_unaffected(&world, &mut bystander).await;
    // What it left unread was bounded.
    let mut unread = 0;
    while stuck.receive().await.is_some() {
        unread += 1;
    }
    assert!((1..EVENTS).contains(&unread), "{unread} messages");
}

#[tokio::test]
async fn a_packet_of_256_mib_ends_its_connection_with_its_first_bytes() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let world = world(Profile::open()).await;
    let mut bystander = bystander(&world).await;
    let token = id_token(&world, Person::Anna).await;
    let endless = [0xFF, 0xFF, 0xFF, 0x7F];
    let publish = [&[0x30][..], &endless].concat();

    let mut stranger = Peer::open(&world);
    let connect = [&[0x10][..], &endless, b"\0\x04MQTT\x04"].concat();
    stranger.send_bytes(&connect).await;
    assert_eq!(stranger.receive().await, None);

    let (mut client, _) = Peer::connected(&world, Person::Anna, &token, "3.1.1", true).await;
    client.send_bytes(&publish).await;
    assert_eq!(client.receive().await, None);

    let connect = Connect::new(Version::V5, Person::Anna, &token).client_id("5.0");
    let (mut client, _) = Peer::connect_with(&world, &connect).await;
    client.send_bytes(&publish).await;
    assert_eq!(client.farewell().await.map(|farewell| farewell.code), Some(0x95));

    assert_unaffected(&world, &mut bystander).await;
    let metrics = recorder.handle().render();
    assert!(metrics.contains("mqtt_closed_total{reason=\"packet_too_large\"} 3"), "{metrics}");
}

#[tokio::test]
async fn a_hundred_thousand_filters_are_answered_one_by_one_and_kept_by_nobody() {
    const FILTERS: usize = 100_000;
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let world = world(Profile::open()).await;
    let mut bystander = bystander(&world).await;
    let token = id_token(&world, Person::Anna).await;
    let (mut client, _) = Peer::connected(&world, Person::Anna, &token, "keeper", false).await;
    let filters: Vec<_> = (0..FILTERS).map(|number| number.to_string()).collect();
    let filters: Vec<_> = filters.iter().map(|filter| (filter.as_str(), 1)).collect();
    let at_once = PACKET_SIZE_MAX as usize / 10;
    for some in filters.chunks(at_once) {
        assert_eq!(client.subscribe_all(some).await, vec![0x80; some.len()]);
    }
    assert!(client.is_quiet().await);
    client.leave().await;
    let key = session_key(Person::Anna, "keeper");
    let stored = world.platform.directory.session(&key, START).await.unwrap().unwrap();
    assert_eq!((stored.subscriptions, stored.cursors), (Vec::new(), Vec::new()));
    assert_unaffected(&world, &mut bystander).await;
    let metrics = recorder.handle().render();
    let refused = format!("mqtt_subscriptions_refused_total{{code=\"0x87\"}} {FILTERS}");
    assert!(metrics.contains(&refused), "{metrics}");
}

#[tokio::test]
async fn a_session_has_as_many_filters_as_set_and_is_told_of_each_one_more() {
    const FILTERS_MAX: usize = 3;
    for (version, refusal) in [(Version::V311, 0x80), (Version::V5, 0x97)] {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let mut profile = Profile::open();
        profile.session.subscriptions_max = FILTERS_MAX;
        let world = world(profile).await;
        let mut bystander = bystander(&world).await;
        let token = id_token(&world, Person::Anna).await;
        let mut connect =
            Connect::new(version, Person::Anna, &token).client_id("keeper").clean(false);
        if version == Version::V5 {
            connect = connect.property(0x11, &100_u32.to_be_bytes());
        }
        let (mut client, _) = Peer::connect_with(&world, &connect).await;
        let anna = Person::Anna.gcid();
        let filters = [
            format!("{anna}/+"),
            format!("{anna}/#"),
            format!("{anna}/{ANNAS}"),
            format!("{anna}/{ANNAS}/#"),
        ];
        let wanted: Vec<_> = filters.iter().map(|filter| (filter.as_str(), 1)).collect();
        assert_eq!(client.subscribe_all(&wanted).await, [1, 1, 1, refusal]);
        assert_eq!(client.subscribe(&filters[0], 0).await, 0, "one that is there is replaced");
        client.unsubscribe(&[&filters[1]]).await;
        assert_eq!(client.subscribe_all(&wanted[2..]).await, [1, 1], "there is room again");
        assert_eq!(client.subscribe(&filters[1], 1).await, refusal);
        client.leave().await;

        let key = session_key(Person::Anna, "keeper");
        let stored = world.platform.directory.session(&key, START).await.unwrap().unwrap();
        assert_eq!(stored.subscriptions.len(), FILTERS_MAX);
        assert_unaffected(&world, &mut bystander).await;
        let metrics = recorder.handle().render();
        let refused = "mqtt_subscriptions_refused_total{code=\"0x97\"} 2";
        assert!(metrics.contains(refused), "{metrics}");
    }
}
