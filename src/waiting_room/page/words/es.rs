//! Spanish.

use super::{Said, Sayings, Words};
use crate::waiting_room::page::numbers::{Forms, Grouping, Numbers, Plural};

pub(in super::super) const WORDS: Words = Words {
    tag: "es",
    rtl: false,
    numbers: Numbers { group: ".", grouping: Grouping::FromFive, decimal: ",", range: "–" },
    plural: Plural::Same,
    minutes: Forms::same(" minutos"),
    hours: Forms::same(" horas"),
    said: Sayings {
        before: Said("Aún no está abierto", "Puede dejar esta página abierta: avanzará sola en cuanto se abra."),
        draw: Said(
            "Ha llegado a tiempo",
            "Al abrir, los puestos se sortearán entre todas las personas presentes. Llegar antes no da ninguna ventaja.",
        ),
        stub: Said("Un momento, por favor", "Le estamos asignando un puesto en la cola."),
        drawing: Said(
            "Se está sorteando su puesto",
            "Todas las personas presentes antes de la apertura tienen las mismas posibilidades. Su puesto aparecerá aquí en un momento.",
        ),
        queued: Said(
            "Está en la cola",
            "Hay muchas personas aquí en este momento. Se entra por turno, y esta página le dará paso cuando llegue el suyo.",
        ),
        paused: Said(
            "La cola está en pausa",
            "Por el momento no entra nadie. No tiene que hacer nada: su puesto se conserva.",
        ),
        sold_out: Said("Agotado", "Lo sentimos: no queda nada. Si algo vuelve a estar disponible, lo verá aquí."),
        full: Said(
            "La cola está llena",
            "Hay tantas personas esperando que no se pueden asignar más puestos. Esta página lo sigue intentando por usted.",
        ),
        closed: Said("Cerrado", "Lo sentimos: ya no puede entrar nadie más. Gracias por su visita."),
        admitted: Said("Es su turno", "Gracias por esperar. ¡Adelante!"),
        resend: Said("Es su turno", "Lo que envió antes no se recibió. Por favor, vuelva atrás y envíelo de nuevo."),
    },
    place: "Su puesto en la cola",
    wait: "Espera estimada",
    stock: "Quedan",
    reference: "Referencia para soporte",
    opens: "Abre en",
    not_known: "Aún no se conoce",
    moment: "Menos de un minuto",
    units: ["d", "h", "min", "s"],
    check: "Comprobar ahora",
    go: "Continuar",
    back: "Volver atrás",
    keep: "Puede dejar esta página en segundo plano, o cerrarla y volver con este navegador: su puesto se conserva.",
    refreshes: "Esta página se actualiza sola.",
    stop: "Detener la actualización",
    stopped: "La actualización está detenida.",
    resume: "Reanudar la actualización",
    offline: "Sin conexión por el momento. Seguimos intentándolo.",
    cookies: "Permita las cookies en este sitio: sin ellas no se puede conservar su puesto.",
    progress: "Avance en la cola",
};
