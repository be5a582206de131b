// The browser's telephone: it offers a call, gives the microphone to it, and plays what comes back.
// Everything else of the call (its words, what is typed, its end) is htmx's and the server's.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const page = byId("talk");
  if (!page) return;

  const form = byId("talk-form"), live = byId("talk-live"), shown = byId("talk-call");
  const start = byId("talk-start"), mute = byId("talk-mute"), hangUp = byId("talk-hang-up");
  const state = byId("talk-state"), wrong = byId("talk-wrong"), audio = byId("talk-audio");
  const level = byId("talk-level"), typing = byId("talk-typing");
  let call = null; // { id, peer, microphone, meter } of the call that is held

  const tell = (words) => { state.textContent = words; };
  const complain = (words) => { wrong.textContent = words; wrong.hidden = !words; };

  // What devices say of themselves, in words.
  const DEVICES = {
    NotAllowedError: "The browser does not let this page use the microphone. Allow it beside the address, or choose to type.",
    NotFoundError: "This machine has no microphone. Plug one in, or choose to type.",
    NotReadableError: "Another program has the microphone. Close it, or choose to type.",
    OverconstrainedError: "The microphone cannot be used for speech. Choose another one, or type.",
    AbortError: "The microphone could not be opened. Try again, or choose to type.",
    SecurityError: "Microphones are switched off in this browser. Choose to type.",
  };
  class Trouble extends Error {}

  const openMicrophone = async () => {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Trouble("Browsers give the microphone only to pages that come by https, or from this machine. Choose to type.");
    }
    try {
      return await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      });
    } catch (error) {
      throw new Trouble(DEVICES[error.name] || "The microphone cannot be used. Choose to type.");
    }
  };

  // How loud it is, so that one sees whether the microphone hears anything.
  const meterOf = (stream) => {
    if (!window.AudioContext) return null;
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    analyser.fftSize = 512;
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Uint8Array(analyser.fftSize);
    const timer = setInterval(() => {
      analyser.getByteTimeDomainData(samples);
      let loudest = 0;
      for (const sample of samples) loudest = Math.max(loudest, Math.abs(sample - 128));
      level.value = loudest / 128;
    }, 100);
    return { close: () => { clearInterval(timer); level.value = 0; context.close(); } };
  };

  const send = (path, fields, more) => fetch(path, {
    method: "POST",
    body: new URLSearchParams(fields),
    headers: { "X-CSRF": page.dataset.csrf },
    credentials: "same-origin",
    ...more,
  });

  const begin = async (offer) => {
    let response;
    try {
      response = await send(form.action, {
        agent: byId("talk-agent").value,
        number: byId("talk-number").value,
        language: byId("talk-language")?.value || "",
        sdp: offer,
      });
    } catch {
      throw new Trouble("The service did not answer.");
    }
    let told = {};
    try { told = await response.json(); } catch { /* a page, not for us */ }
    if (response.status !== 201) {
      throw new Trouble(told.wrong || `The service does not take the call (${response.status}). Load the page again.`);
    }
    return told;
  };

  const SILENT = "No sound comes through: no way leads from this browser to the provider's audio. What is said is still shown below.";
  // A browser that finds no way may never say so: its connection then stays as new.
  const CONNECTED_WITHIN = 10_000;

  const watchConnection = (peer) => {
    setTimeout(() => {
      if (call?.peer === peer && peer.connectionState !== "connected") tell(SILENT);
    }, CONNECTED_WITHIN);
    peer.addEventListener("connectionstatechange", () => {
      if (call?.peer !== peer) return;
      switch (peer.connectionState) {
        case "connected": tell("You are connected."); break;
        case "disconnected": tell("The connection is interrupted."); break;
        case "failed": tell(SILENT); break;
      }
    });
  };

  const startTalking = async () => {
    const typed = typing.checked;
    let microphone = null, peer = null;
    try {
      if (!window.RTCPeerConnection) throw new Trouble("This browser cannot make calls.");
      tell(typed ? "Calling…" : "Asking for the microphone…");
      if (!typed) microphone = await openMicrophone();
      tell("Calling…");
      peer = new RTCPeerConnection();
      peer.addEventListener("track", (event) => {
        audio.srcObject = event.streams[0] || new MediaStream([event.track]);
      });
      if (microphone) for (const track of microphone.getTracks()) peer.addTrack(track, microphone);
      else peer.addTransceiver("audio", { direction: "recvonly" });
      await peer.setLocalDescription(await peer.createOffer());
      const told = await begin(peer.localDescription.sdp);
      call = { id: told.call_id, peer, microphone, meter: null };
      watchConnection(peer);
      await peer.setRemoteDescription({ type: "answer", sdp: told.sdp });
      call.meter = microphone && meterOf(microphone);
      show(told, typed);
    } catch (error) {
      if (call) hangUpNow();
      for (const track of microphone?.getTracks() || []) track.stop();
      peer?.close();
      call = null;
      tell("");
      complain(error instanceof Trouble ? error.message : "The browser could not make the call.");
      start.disabled = false;
      start.focus();
    }
  };

  const show = (told, typed) => {
    form.hidden = true;
    live.hidden = false;
    mute.hidden = level.hidden = typed;
    mute.setAttribute("aria-pressed", "false");
    page.dataset.call = told.call_id;
    tell("The call has begun.");
    byId("talk-live-title").focus();
    htmx.ajax("GET", told.shown, { target: "#talk-call", swap: "innerHTML" });
  };

  const hangUpNow = () => {
    const path = `/console/calls/${encodeURIComponent(call.id)}/do/hang-up`;
    // The page may be going: the request must not go with it.
    send(path, { csrf: page.dataset.csrf, key: crypto.randomUUID?.() || String(Date.now()) }, { keepalive: true, redirect: "manual" })
      .catch(() => {});
  };

  const over = (words) => {
    if (!call) return;
    const { peer, microphone, meter } = call;
    call = null;
    meter?.close();
    for (const track of microphone?.getTracks() || []) track.stop();
    peer.close();
    audio.srcObject = null;
    byId("talk-type")?.remove();
    live.hidden = true;
    form.hidden = false;
    start.disabled = false;
    delete page.dataset.call;
    tell(words);
    start.focus();
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (call || start.disabled) return;
    start.disabled = true;
    complain("");
    shown.replaceChildren();
    startTalking();
  });
  mute.addEventListener("click", () => {
    const muted = mute.getAttribute("aria-pressed") !== "true";
    for (const track of call?.microphone?.getAudioTracks() || []) track.enabled = !muted;
    mute.setAttribute("aria-pressed", String(muted));
    tell(muted ? "You are muted." : "You are heard again.");
  });
  hangUp.addEventListener("click", () => {
    if (!call) return;
    hangUpNow();
    over("You have hung up.");
  });
  // The call's stream tells when it is over, whoever ended it.
  document.addEventListener("ended", (event) => {
    if (event.target.id === "stream" && shown.contains(event.target)) over("The call is over.");
  });
  addEventListener("pagehide", () => { if (call) { hangUpNow(); over(""); } });
})();
