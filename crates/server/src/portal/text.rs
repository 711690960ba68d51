//! Every sentence of the portal, in English and German.
//!
//! A name that one language lacks does not compile. `{}` stands where a page puts something in, see [`fill`].

/// Names, and what each says in English and in German.
macro_rules! texts {
    ($($name:ident: $english:literal, $german:literal;)*) => {
        /// All texts in one language.
        pub(super) struct Text {
            $(pub(super) $name: &'static str,)*
        }
        pub(super) const ENGLISH: Text = Text { $($name: $english,)* };
        pub(super) const GERMAN: Text = Text { $($name: $german,)* };
        #[cfg(test)]
        const ALL: &[(&str, &str, &str)] = &[$((stringify!($name), $english, $german),)*];
    };
}

/// `text` with each `{}` replaced by one of `parts`, in their order.
pub(super) fn fill(text: &str, parts: &[&str]) -> String {
    let mut filled =
        String::with_capacity(text.len() + parts.iter().map(|part| part.len()).sum::<usize>());
    let mut parts = parts.iter();
    for (index, piece) in text.split("{}").enumerate() {
        if index > 0 {
            filled.push_str(parts.next().copied().unwrap_or_default());
        }
        filled.push_str(piece);
    }
    filled
}

texts! {
    lang: "en", "de";
    other_language: "Deutsch", "English";
    other_tag: "de", "en";
    skip: "Skip to the content", "Zum Inhalt springen";
    menu: "Main menu", "Hauptmenü";
    vehicles: "Vehicles", "Fahrzeuge";
    clients: "Clients", "Clients";
    sharing: "Who sees what", "Wer sieht was";
    activity: "Activity", "Aktivität";
    account: "Account", "Konto";
    log_out: "Log out", "Abmelden";
    cancel: "Cancel", "Abbrechen";
    save: "Save", "Speichern";
    delete: "Delete", "Löschen";
    name: "Name", "Name";
    never: "never", "nie";
    none: "none", "keine";
    saved: "Saved.", "Gespeichert.";
    yes: "yes", "ja";
    no: "no", "nein";

    log_in: "Log in", "Anmelden";
    log_in_why: "Log in to see your vehicles and decide who gets their data.", "Melden Sie sich an, um Ihre Fahrzeuge zu sehen und zu entscheiden, wer ihre Daten bekommt.";
    log_in_device: "A device asks for access to your vehicles' data. Log in to decide.", "Ein Gerät bittet um Zugriff auf die Daten Ihrer Fahrzeuge. Melden Sie sich an, um zu entscheiden.";
    email: "E-mail", "E-Mail";
    password: "Password", "Passwort";
    use_another: "Use another account", "Anderes Konto verwenden";
    you_are: "You are {}.", "Sie sind {}.";

    code_title: "Enter the code", "Code eingeben";
    code_why: "Your device or program shows a code of 8 characters. Check that it is this one, or type it in. Capital and small letters differ.", "Ihr Gerät oder Programm zeigt einen Code mit 8 Zeichen. Prüfen Sie, ob es dieser ist, oder geben Sie ihn ein. Groß- und Kleinbuchstaben sind verschieden.";
    code: "Code", "Code";
    go_on: "Continue", "Weiter";
    consent_title: "Allow access?", "Zugriff erlauben?";
    consent_wants: "{} wants to:", "{} möchte:";
    consent_purpose: "What for, in its own words: {}", "Wofür, in eigenen Worten: {}";
    consent_client: "Client {}", "Client {}";
    consent_only_if: "Allow it only if you started this yourself and your device shows this code:", "Erlauben Sie das nur, wenn Sie es selbst begonnen haben und Ihr Gerät diesen Code zeigt:";
    consent_lasts: "For how long", "Für wie lange";
    lasts_until_ended: "until I end it", "bis ich es beende";
    lasts_day: "for one day", "einen Tag";
    lasts_month: "for 30 days", "30 Tage";
    lasts_year: "for one year", "ein Jahr";
    allow: "Allow", "Erlauben";
    refuse: "Refuse", "Ablehnen";
    allowed_title: "Access allowed", "Zugriff erlaubt";
    allowed_text: "{} has access now. You can go back to your device; it goes on by itself in a few seconds.", "{} hat jetzt Zugriff. Sie können zu Ihrem Gerät zurückkehren; es macht in wenigen Sekunden von selbst weiter.";
    allowed_next: "Choose what it is sent, or see who sees what.", "Wählen Sie, was er geschickt bekommt, oder sehen Sie, wer was sieht.";
    refused_title: "Access refused", "Zugriff abgelehnt";
    refused_text: "{} got no access. You can close this page.", "{} hat keinen Zugriff bekommen. Sie können diese Seite schließen.";
    scope_authenticate: "know that you logged in", "wissen, dass Sie sich angemeldet haben";
    scope_openid: "know your customer number", "Ihre Kundennummer kennen";
    scope_api: "read the latest data of your vehicles, such as mileage and position, and set up containers, the lists of values that it receives", "die neuesten Daten Ihrer Fahrzeuge lesen, etwa Kilometerstand und Position, und Container anlegen, die Listen der Werte, die er bekommt";
    scope_streaming: "receive the values that you or it chose, as they change, for as long as you allow it", "die Werte empfangen, die Sie oder er ausgewählt haben, sobald sie sich ändern, solange Sie es erlauben";

    trouble_unreadable: "This page could not be read. Please try again.", "Diese Seite konnte nicht gelesen werden. Bitte versuchen Sie es noch einmal.";
    trouble_stale: "This page is too old, or your browser refuses cookies. Please try again.", "Diese Seite ist zu alt, oder Ihr Browser lehnt Cookies ab. Bitte versuchen Sie es noch einmal.";
    trouble_logged_out: "Please log in first.", "Bitte melden Sie sich zuerst an.";
    trouble_wrong_password: "The e-mail address or the password is wrong.", "Die E-Mail-Adresse oder das Passwort ist falsch.";
    trouble_too_many: "There were too many wrong tries. Please wait a minute.", "Es gab zu viele falsche Versuche. Bitte warten Sie eine Minute.";
    trouble_unknown_code: "There is no such code. Compare it with your device: capital and small letters differ.", "Diesen Code gibt es nicht. Vergleichen Sie ihn mit Ihrem Gerät: Groß- und Kleinbuchstaben sind verschieden.";
    trouble_expired: "This code has expired. Start again at your device to get a new one.", "Dieser Code ist abgelaufen. Beginnen Sie am Gerät von vorn, um einen neuen zu bekommen.";
    trouble_decided: "This code was used already. Start again at your device to get a new one.", "Dieser Code wurde schon benutzt. Beginnen Sie am Gerät von vorn, um einen neuen zu bekommen.";
    trouble_foreign: "This client belongs to another customer, and only that customer can approve it. Use the other account, or a client of your own.", "Dieser Client gehört einem anderen Kunden, und nur der kann ihn zulassen. Verwenden Sie das andere Konto oder einen eigenen Client.";
    trouble_failed: "Something failed on our side. Please try again in a moment.", "Auf unserer Seite ist etwas schiefgegangen. Bitte versuchen Sie es gleich noch einmal.";
    trouble_not_found: "There is nothing here, or it is not yours.", "Hier ist nichts, oder es gehört nicht Ihnen.";
    trouble_too_large: "This form is too large.", "Dieses Formular ist zu groß.";
    trouble_title: "That did not work", "Das hat nicht geklappt";

    hints_title: "From here to your first message", "Von hier bis zur ersten Nachricht";
    hint_client: "Create a client: the name and id by which your program is known here.", "Legen Sie einen Client an: der Name und die ID, unter denen Ihr Programm hier bekannt ist.";
    hint_consent: "Give its client id to your program, and allow the access that it asks for.", "Geben Sie Ihrem Programm die Client-ID, und erlauben Sie den Zugriff, um den es bittet.";
    hint_choice: "Choose which values it is sent.", "Wählen Sie, welche Werte es geschickt bekommt.";
    hint_message: "Let it connect to the stream, and drive: the first message comes by itself.", "Lassen Sie es sich mit dem Stream verbinden, und fahren Sie: Die erste Nachricht kommt von selbst.";
    hint_done: "done", "erledigt";
    hint_next: "next", "als Nächstes";

    vehicles_none: "No vehicle is linked to your account. Your vehicle's manufacturer or operator links it.", "Mit Ihrem Konto ist kein Fahrzeug verknüpft. Der Hersteller oder Betreiber verknüpft es.";
    mapping: "Link", "Verknüpfung";
    primary: "main user", "Hauptnutzer";
    secondary: "further driver", "weiterer Fahrer";
    secondary_note: "Only the main user can see and share this vehicle's data.", "Nur der Hauptnutzer kann die Daten dieses Fahrzeugs sehen und teilen.";
    last_contact: "Last contact", "Letzter Kontakt";
    state_of_charge: "State of charge", "Ladestand";
    mileage: "Mileage", "Kilometerstand";
    range: "Range", "Reichweite";
    battery_chart: "Battery", "Batterie";
    battery_chart_alt: "State of charge in percent over time, from {} to {}", "Ladestand in Prozent über die Zeit, von {} bis {}";
    track: "Track", "Fahrspur";
    track_alt: "The way that the vehicle took, north is up", "Der Weg, den das Fahrzeug genommen hat, Norden ist oben";
    no_battery_data: "No state of charge was reported yet.", "Es wurde noch kein Ladestand gemeldet.";
    no_track_data: "No position was reported yet.", "Es wurde noch keine Position gemeldet.";
    latest_values: "Latest values", "Neueste Werte";
    value: "Value", "Wert";
    age: "Age", "Alter";
    signal: "Signal", "Signal";
    no_values: "This vehicle has not reported anything yet.", "Dieses Fahrzeug hat noch nichts gemeldet.";
    live_note: "This page follows by itself.", "Diese Seite aktualisiert sich von selbst.";

    clients_why: "A client is one of your programs. It gets data only after you allowed its access, and only what you or it chose.", "Ein Client ist eines Ihrer Programme. Es bekommt Daten erst, wenn Sie seinen Zugriff erlaubt haben, und nur, was Sie oder es ausgewählt haben.";
    clients_none: "You have no client yet.", "Sie haben noch keinen Client.";
    requests_of: "REST requests today: {} of {}. A new day begins at midnight UTC.", "REST-Anfragen heute: {} von {}. Ein neuer Tag beginnt um Mitternacht UTC.";
    requests_of_all: "REST requests today, of all your clients together: {} of {}. A new day begins at midnight UTC.", "REST-Anfragen heute, von allen Ihren Clients zusammen: {} von {}. Ein neuer Tag beginnt um Mitternacht UTC.";
    requests_unlimited: "REST requests today: {}.", "REST-Anfragen heute: {}.";
    client_create: "Create a client", "Client anlegen";
    client_create_button: "Create", "Anlegen";
    client_id: "Client id", "Client-ID";
    copy: "Copy", "Kopieren";
    copied: "Copied", "Kopiert";
    services: "Services", "Dienste";
    service_api: "CarData API (REST)", "CarData API (REST)";
    service_stream: "CarData Stream (MQTT)", "CarData Stream (MQTT)";
    services_note: "Taking a service away ends the access that was given for it.", "Wird ein Dienst entzogen, endet der Zugriff, der dafür erlaubt wurde.";
    rename: "Rename and subscribe", "Umbenennen und abonnieren";
    configure_stream: "Choose what it is sent", "Auswählen, was er bekommt";
    configure_places: "How exactly it may know places", "Wie genau er Orte kennen darf";
    authorize_device: "Authorize a device", "Gerät zulassen";
    client_delete_title: "Delete {}?", "{} löschen?";
    client_delete_text: "Its access ends at once, open streams are closed, and its id is never used again. This can't be undone.", "Der Zugriff endet sofort, offene Streams werden geschlossen, und die ID wird nie wieder verwendet. Das lässt sich nicht rückgängig machen.";
    client_created: "The client was created. Next: give its client id to your program.", "Der Client ist angelegt. Als Nächstes: Geben Sie Ihrem Programm die Client-ID.";
    client_deleted: "The client was deleted, and its access ended in {} ms.", "Der Client ist gelöscht, und sein Zugriff endete nach {} ms.";
    clients_full: "You have as many clients as an account may have. Delete one that you do not need.", "Sie haben so viele Clients, wie ein Konto haben darf. Löschen Sie einen, den Sie nicht brauchen.";
    bad_name: "A name has 1 to 100 characters.", "Ein Name hat 1 bis 100 Zeichen.";
    connect_title: "What your program needs to connect", "Was Ihr Programm zum Verbinden braucht";
    connect_host: "Host and port", "Host und Port";
    connect_user: "User name", "Benutzername";
    connect_password: "Password: a fresh id token", "Passwort: ein frisches ID-Token";
    connect_topic: "Topic", "Topic";

    faults_link: "Let things go wrong on purpose, and see how your program takes it", "Mit Absicht etwas schiefgehen lassen und sehen, wie Ihr Programm damit umgeht";
    faults: "Faults on purpose", "Fehler mit Absicht";
    faults_why: "In this sandbox you can let things go wrong for your own programs, as they do in real life. Nobody else is struck. A restart of the sandbox ends all.", "In dieser Sandbox können Sie für Ihre eigenen Programme etwas schiefgehen lassen, wie im wirklichen Leben. Niemand sonst ist betroffen. Ein Neustart der Sandbox beendet alles.";
    faults_there: "What goes wrong now", "Was jetzt schiefgeht";
    faults_none: "Nothing does.", "Nichts.";
    faults_full: "There are as many faults as there may be. End one that you do not need.", "Es gibt so viele Fehler, wie es geben darf. Beenden Sie einen, den Sie nicht brauchen.";
    fault_refused: "This can't be. Look at the field `{}`, and below at what the kind takes.", "Das geht nicht. Sehen Sie sich das Feld `{}` an, und weiter unten, was die Art annimmt.";
    fault_add: "Begin a fault", "Fehler beginnen";
    fault_kind: "Kind", "Art";
    fault_value: "Value, where the kind takes one", "Wert, wo die Art einen annimmt";
    fault_client: "Only this client", "Nur dieser Client";
    fault_mqtt_client: "Only this MQTT client identifier", "Nur diese MQTT-Client-Kennung";
    fault_vehicle: "Only this vehicle", "Nur dieses Fahrzeug";
    fault_times: "So often (times)", "So oft (times)";
    fault_seconds: "So long, in seconds (for_seconds)", "So lange, in Sekunden (for_seconds)";
    fault_probability: "At this part of the occasions, such as 0.1 (probability)", "Bei diesem Teil der Gelegenheiten, etwa 0,1 (probability)";
    fault_seed: "Seed: the same one, the same occasions (seed)", "Seed: derselbe, dieselben Gelegenheiten (seed)";
    fault_end: "End", "Beenden";
    fault_strikes: "Has struck", "Hat getroffen";
    fault_log: "When a fault struck you", "Wann ein Fehler Sie getroffen hat";
    fault_log_none: "None has yet.", "Noch keiner.";
    fault_whom: "Whom", "Wen";
    fault_kinds: "The kinds", "Die Arten";
    fault_default: "; {} unless told", "; {}, wenn nichts gesagt wird";
    fault_at_once: "Strikes once, at once.", "Trifft einmal, sofort.";
    fault_throughout: "Takes a time.", "Nimmt eine Zeit an.";
    fault_occasions: "Takes a number, a time or a part.", "Nimmt eine Anzahl, eine Zeit oder einen Teil an.";
    fault_of_vehicle: " Takes a vehicle.", " Nimmt ein Fahrzeug an.";

    stream_title: "What {} is sent", "Was {} bekommt";
    stream_why: "Ticked values count in addition to the containers that the program registers by itself.", "Angekreuzte Werte zählen zusätzlich zu den Containern, die das Programm selbst anlegt.";
    search: "Search", "Suchen";
    category: "Category", "Kategorie";
    drivetrain: "Drivetrain", "Antrieb";
    any: "any", "alle";
    filter: "Filter", "Filtern";
    select_shown: "Tick all that are shown", "Alle gezeigten ankreuzen";
    clear_shown: "Untick all that are shown", "Alle gezeigten abwählen";
    templates: "Templates", "Vorlagen";
    template_charging: "Charging", "Laden";
    template_location: "Location only", "Nur Position";
    template_driving: "Driving", "Fahren";
    template_security: "Doors and windows", "Türen und Fenster";
    template_tyres: "Tyres", "Reifen";
    template_nothing: "Nothing", "Nichts";
    shown_count: "{} shown, {} ticked in all", "{} gezeigt, {} insgesamt angekreuzt";
    review: "Review changes", "Änderungen ansehen";
    diff_title: "These changes will be made", "Diese Änderungen werden vorgenommen";
    diff_added: "{} more will be sent", "{} werden zusätzlich geschickt";
    diff_removed: "{} will be sent no longer", "{} werden nicht mehr geschickt";
    diff_nothing: "Nothing would change.", "Es würde sich nichts ändern.";
    diff_save: "Save these changes", "Diese Änderungen speichern";
    diff_back: "Change the selection", "Auswahl ändern";
    stream_saved: "Saved. Open streams follow already.", "Gespeichert. Offene Streams folgen schon.";
    category_vehicle_status: "Vehicle status", "Fahrzeugstatus";
    category_bev_phev: "Battery and charging", "Batterie und Laden";
    category_usage: "Use", "Nutzung";
    category_meta: "Data connection", "Datenverbindung";
    category_tyre: "Tyres", "Reifen";
    category_basic: "Basic data", "Grunddaten";
    category_events: "Events", "Ereignisse";
    category_contract: "Data contract", "Datenvertrag";
    category_unlisted: "Others", "Sonstige";

    places_title: "How exactly {} may know places", "Wie genau {} Orte kennen darf";
    precision: "Precision of positions", "Genauigkeit von Positionen";
    precision_exact: "exact", "genau";
    precision_kilometre: "to 1 km", "auf 1 km";
    precision_ten: "to 10 km", "auf 10 km";
    hides_zones: "No position inside my zones", "Keine Position innerhalb meiner Zonen";
    places_note: "What else tells a place, such as the altitude, is left out unless positions are exact and outside your zones.", "Was sonst einen Ort verrät, etwa die Höhe, entfällt, außer bei genauen Positionen außerhalb Ihrer Zonen.";
    zones: "Zones", "Zonen";
    zones_why: "A zone is a circle, such as around your home. Clients that you choose get no position inside.", "Eine Zone ist ein Kreis, etwa um Ihr Zuhause. Clients, die Sie auswählen, bekommen darin keine Position.";
    zones_none: "You have no zone yet.", "Sie haben noch keine Zone.";
    zone_add: "Add a zone", "Zone hinzufügen";
    zone_map: "Click into the map to set the middle", "In die Karte klicken, um die Mitte zu setzen";
    latitude: "Latitude", "Breitengrad";
    longitude: "Longitude", "Längengrad";
    radius: "Radius in metres", "Radius in Metern";
    zone_remove: "Remove", "Entfernen";
    bad_zone_name: "A zone's name has 1 to 60 characters.", "Der Name einer Zone hat 1 bis 60 Zeichen.";
    bad_latitude: "The latitude is a number from -90 to 90.", "Der Breitengrad ist eine Zahl von -90 bis 90.";
    bad_longitude: "The longitude is a number from -180 to 180.", "Der Längengrad ist eine Zahl von -180 bis 180.";
    bad_radius: "The radius is 50 to 50000 metres.", "Der Radius beträgt 50 bis 50000 Meter.";
    zones_full: "You have as many zones as an account may have.", "Sie haben so viele Zonen, wie ein Konto haben darf.";

    sharing_why: "Everybody who can get data of your vehicles now, and what they got. What you end here ends at once.", "Alle, die jetzt Daten Ihrer Fahrzeuge bekommen können, und was sie bekommen haben. Was Sie hier beenden, endet sofort.";
    sharing_none: "Nobody gets data of your vehicles.", "Niemand bekommt Daten Ihrer Fahrzeuge.";
    may: "May", "Darf";
    since: "Since", "Seit";
    until: "Until", "Bis";
    until_ended: "you end it", "Sie es beenden";
    purpose: "Purpose", "Zweck";
    containers: "Containers", "Container";
    container_values: "{} values", "{} Werte";
    ticked_by_you: "Ticked by you", "Von Ihnen angekreuzt";
    first_delivery: "First delivery", "Erste Lieferung";
    last_delivery: "Last delivery", "Letzte Lieferung";
    messages: "Messages", "Nachrichten";
    over_stream: "stream", "Stream";
    over_rest: "API", "API";
    container_revoke: "End this container", "Diesen Container beenden";
    revoke_all: "End all access", "Allen Zugriff beenden";
    revoked: "Access ended in {} ms; {} open streams were closed.", "Der Zugriff endete nach {} ms; {} offene Streams wurden geschlossen.";
    container_revoked: "The container ended. Open streams follow already.", "Der Container ist beendet. Offene Streams folgen schon.";

    activity_why: "What happened to your account and data, the newest first.", "Was mit Ihrem Konto und Ihren Daten geschah, das Neueste zuerst.";
    activity_none: "Nothing has happened yet.", "Es ist noch nichts geschehen.";
    older: "Older", "Ältere";
    newest: "Newest", "Neueste";
    when: "When", "Wann";
    who: "Who", "Wer";
    what: "What", "Was";
    actor_customer: "you", "Sie";
    actor_client: "the client", "der Client";
    actor_operator: "the operator", "der Betreiber";
    actor_service: "this service", "dieser Dienst";
    took: "took {} ms", "dauerte {} ms";
    streams_closed: "streams closed: {}", "geschlossene Streams: {}";
    act_consent_granted: "access allowed", "Zugriff erlaubt";
    act_consent_refused: "access refused", "Zugriff abgelehnt";
    act_consent_ended: "access ended", "Zugriff beendet";
    why_token_reuse: "a used token came back: somebody else may have it", "ein benutztes Token kam wieder: jemand anderes könnte es haben";
    why_expired: "its time was over", "die Zeit war um";
    why_client_deleted: "the client was deleted, or lost the service", "der Client wurde gelöscht oder verlor den Dienst";
    why_password_changed: "the password was changed", "das Passwort wurde geändert";
    act_container_added: "container registered", "Container angelegt";
    act_container_deleted: "container ended", "Container beendet";
    act_stream_configured: "choice of values changed", "Auswahl der Werte geändert";
    act_privacy_changed: "precision of places changed", "Genauigkeit von Orten geändert";
    act_zone_added: "zone added", "Zone hinzugefügt";
    act_zone_removed: "zone removed", "Zone entfernt";
    act_logged_in: "logged in", "angemeldet";
    act_log_in_refused: "log-in refused: wrong password", "Anmeldung abgelehnt: falsches Passwort";
    act_logged_out: "logged out", "abgemeldet";
    act_password_changed: "password changed", "Passwort geändert";
    act_client_created: "client created", "Client angelegt";
    act_client_renamed: "client renamed", "Client umbenannt";
    act_services_changed: "services changed", "Dienste geändert";
    act_secret_renewed: "client's secret renewed", "Secret des Clients erneuert";
    act_client_deleted: "client deleted", "Client gelöscht";
    act_data_read: "data read", "Daten gelesen";
    act_data_exported: "data exported", "Daten exportiert";
    act_customer_added: "account opened", "Konto eröffnet";
    act_customer_deleted: "account deleted", "Konto gelöscht";
    act_vehicle_added: "vehicle added", "Fahrzeug hinzugefügt";
    act_vehicle_changed: "vehicle's data changed", "Fahrzeugdaten geändert";
    act_certificate_issued: "vehicle's certificate issued", "Fahrzeugzertifikat ausgestellt";
    act_certificates_revoked: "vehicle's certificates revoked", "Fahrzeugzertifikate gesperrt";
    act_source_added: "source of events added", "Ereignisquelle hinzugefügt";
    act_source_removed: "source of events removed", "Ereignisquelle entfernt";
    act_mapping_changed: "vehicle linked", "Fahrzeug verknüpft";
    act_mapping_ended: "vehicle's link ended", "Verknüpfung des Fahrzeugs beendet";
    act_key_rotated: "signing key changed", "Signaturschlüssel gewechselt";
    act_key_retired: "signing key removed", "Signaturschlüssel entfernt";
    act_fault_begun: "fault on purpose begun", "Fehler mit Absicht begonnen";
    act_fault_ended: "fault on purpose ended", "Fehler mit Absicht beendet";

    account_gcid: "Customer number (GCID)", "Kundennummer (GCID)";
    account_since: "Account since", "Konto seit";
    change_password: "Change the password", "Passwort ändern";
    current_password: "Current password", "Bisheriges Passwort";
    new_password: "New password, at least 12 characters", "Neues Passwort, mindestens 12 Zeichen";
    repeat_password: "New password once more", "Neues Passwort noch einmal";
    keep_clients: "Keep the access of my programs", "Zugriff meiner Programme behalten";
    keep_clients_note: "Otherwise all of them have to be allowed anew; do that if somebody may have known the old password.", "Sonst müssen alle neu zugelassen werden; tun Sie das, wenn jemand das alte Passwort gekannt haben könnte.";
    password_changed: "The password was changed. Other browsers were logged out.", "Das Passwort ist geändert. Andere Browser wurden abgemeldet.";
    bad_current_password: "The current password is wrong.", "Das bisherige Passwort ist falsch.";
    bad_new_password: "A password has 12 to 200 characters.", "Ein Passwort hat 12 bis 200 Zeichen.";
    bad_repeat: "The two new passwords differ.", "Die beiden neuen Passwörter sind verschieden.";
    my_data: "My data", "Meine Daten";
    export_why: "Everything that is kept of you and your vehicles, as a ZIP file of JSON: account, consents, choices, activity, events, charging sessions.", "Alles, was von Ihnen und Ihren Fahrzeugen aufbewahrt wird, als ZIP-Datei mit JSON: Konto, Einwilligungen, Auswahl, Aktivität, Ereignisse, Ladevorgänge.";
    export: "Export everything", "Alles exportieren";
    consent_record: "The record of my consents (JSON)", "Das Verzeichnis meiner Einwilligungen (JSON)";
    delete_account: "Delete the account", "Konto löschen";
    delete_account_why: "All access ends at once. The account, your clients, your choices, the activity, and all events of your vehicles are deleted. This can't be undone.", "Aller Zugriff endet sofort. Das Konto, Ihre Clients, Ihre Auswahl, die Aktivität und alle Ereignisse Ihrer Fahrzeuge werden gelöscht. Das lässt sich nicht rückgängig machen.";
    delete_account_button: "Delete everything", "Alles löschen";
    deleted_title: "Everything is deleted", "Alles ist gelöscht";
    deleted_text: "The account and all its data are gone.", "Das Konto und alle seine Daten sind weg.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_has_the_same_places_to_fill_in_both_languages() {
        for (name, english, german) in ALL {
            assert!(!english.is_empty() && !german.is_empty(), "{name}");
            assert_eq!(english.matches("{}").count(), german.matches("{}").count(), "{name}");
        }
    }

    #[test]
    fn a_text_is_filled_in_order() {
        assert_eq!(fill("{} of {}", &["1", "2"]), "1 of 2");
        assert_eq!(fill("{}, {}", &["1"]), "1, ");
        assert_eq!(fill("plain", &[]), "plain");
    }
}
